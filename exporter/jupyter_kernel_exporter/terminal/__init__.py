"""The same facts on a terminal: who is alive now, and who died of what.

* ``text``     what a terminal can show: widths, colours, nothing that it would obey
* ``table``    rows -> lines of a width; pure
* ``kernels``  the command ``kernels``
* ``deaths``   the command ``deaths``
"""
