"""Who looks, and what of everything is theirs. Pure; decided once, before any route.

People are told apart by the label ``username``. What bears no name, as all does where names are not
shown, belongs to nobody: only those who see everything see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.privacy import conceal_paths


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may look at everything, or at the kernels of one person."""

    sees_all: bool = False
    username: str = ""
    """As in the label; empty: of nobody."""

    def sees(self, username: str) -> bool:
        """Whether what belongs to ``username`` may be seen."""
        return self.sees_all or (username == self.username and username != "")

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """What may be seen of a snapshot; the same object for those who see everything."""
        if self.sees_all:
            return snapshot
        return replace(
            snapshot,
            kernels=tuple(live for live in snapshot.kernels if self.sees(live.kernel.username)),
            # What is wrong with a source is told with paths, other people's homes among them.
            sources=tuple(s._replace(problem=self.text(s.problem)) for s in snapshot.sources),
            death_counts=tuple(one for one in snapshot.death_counts if self.sees(one.username)),
            worker_oom_counts=tuple(
                one for one in snapshot.worker_oom_counts if self.sees(one.username)
            ),
            last_deaths=tuple(
                one for one in snapshot.last_deaths if self.sees(one.kernel.username)
            ),
        )

    def filters(self, asked: Mapping[str, str]) -> dict[str, str] | None:
        """What deaths must be, of those that are asked for; ``None`` if none may be seen."""
        if self.sees_all:
            return dict(asked)
        if not self.sees(asked.get("username", self.username)):
            return None
        return {**asked, "username": self.username}

    def text(self, text: str) -> str:
        """What may be seen of a sentence about this host."""
        return text if self.sees_all else conceal_paths(text)


EVERYTHING = Viewer(sees_all=True)


async def viewer_of(request: Request) -> Viewer:
    """Whom the guard has let in. Without a guard before the routes this fails, and they with it."""
    viewer: Viewer = request.state.viewer
    return viewer


async def overseer_of(request: Request) -> Viewer:
    """The same, for what cannot be shown in part: 403 for those who may not see everything."""
    viewer = await viewer_of(request)
    if not viewer.sees_all:
        raise HTTPException(403, "this shows everybody's kernels, and you may see your own")
    return viewer


Seen = Annotated[Viewer, Depends(viewer_of)]
Overseen = Annotated[Viewer, Depends(overseer_of)]
