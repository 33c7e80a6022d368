"""Why a kernel ended: the end is noticed, evidence gathered, joined, and a reason found.

* ``record``    the nouns: Evidence (facts, never opinions), Verdict, Death
* ``truth``     answers that are more than yes and no: not yet, nobody could be asked
* ``ended``     what linux says about an end: its status, its OOM killer
* ``traces``    what Jupyter leaves behind around an end
* ``classify``  the ordered table of rules; the first that holds wins
* ``reasons``   what each reason means, and what helps
* ``restarts``  a new process for the same kernel: by a person or by Jupyter's restarter
"""
