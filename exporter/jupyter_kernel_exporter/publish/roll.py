"""The roll of those who are alive: written down when it changes, for the daemon after this one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.remembered import from_text, to_text
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.privacy import reduce_notebook
from jupyter_kernel_exporter.publish.deathrow import Identity
from jupyter_kernel_exporter.publish.history import History


class Before(NamedTuple):
    """Who was on the roll of the daemon before."""

    since: float | None
    """Its last sign of life, seconds since the epoch; ``None`` if nobody knows."""
    here: list[Dossier]
    """In the present boot of the machine."""
    of_another_boot: list[tuple[str, Dossier]]
    """With the name of that boot."""


@dataclass(slots=True)
class Roll:
    """Keeps the roll in the history. For one thread."""

    history: History
    boot_id: str
    conceals: bool = False
    """Whether paths, which bear people's names, are not written down."""
    _written: dict[ProcessId, Dossier] = field(default_factory=dict, init=False)
    _texts: dict[Identity, str] = field(default_factory=dict, init=False)

    def read(self) -> Before:
        """Who was on it. Raises :exc:`ValueError` if that cannot be understood."""
        here, elsewhere = [], []
        for (boot_id, *numbers), text in self.history.remembered().items():
            dossier = from_text(ProcessId(*numbers), text)
            notebook = reduce_notebook(dossier.kernel.notebook, self.history.notebook)
            dossier = replace(dossier, kernel=replace(dossier.kernel, notebook=notebook))
            if boot_id == self.boot_id:
                here.append(dossier)
            else:
                elsewhere.append((boot_id, dossier))
        return Before(self.history.left_at, here, elsewhere)

    def write(self, dossiers: Iterable[Dossier]) -> None:
        """These are alive, or their ends are not explained yet; nobody else is on it any more."""
        wanted = {dossier.kernel.process: dossier for dossier in dossiers}
        # A dossier is made anew when something of it that lasts has changed.
        if wanted == self._written:
            return
        texts = {}
        for process, dossier in wanted.items():
            identity = Identity(self.boot_id, *process)
            same = self._written.get(process) is dossier
            texts[identity] = self._texts[identity] if same else self._to_text(dossier)
        self._written, self._texts = wanted, texts
        self.history.remember(texts)

    def _to_text(self, dossier: Dossier) -> str:
        if self.conceals:
            kernel = replace(dossier.kernel, connection_file="")
            dossier = replace(dossier, kernel=kernel, file=None, server_file=None)
        return to_text(dossier)
