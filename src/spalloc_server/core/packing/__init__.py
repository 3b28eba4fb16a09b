"""Where a request fits on one machine, and which of the possible spots leaves the rest most usable.

Which job is next is decided in scheduler.py.

**Reading order.** `packer` answers the scheduler. `wishes` says what a request means on this machine, `occupancy` who
has which boards. `search` is given a demand and a space: a `space` is a set of open boards, with everything that a
search asks about the rectangles of each size. All of this rests on facts of the machine (`topology`) and on arithmetic
(`grids`, `bitmaps`).

**The memo: versions of the free space.** Most searches would fail, because the last one failed and few boards have been
freed since. A space therefore has a version: how many boards have been opened in it so far, a board counting each time.
A search that fails remembers the version (`failed_version`), or the first version with which it can succeed
(`next_version`). Three facts allow this. A job that lacked n boards cannot fit before the version has grown by n. The
open boards of the fullest rectangle of a size grow by no more than the version does. And a new spot is connected to a
board that was opened since, unless boards of other jobs were in its way, which they are only where boards may be
missing or a torus is required. Taking boards opens no spot, and leaves the version as it is. Forgetting a version costs
time and changes no decision.
"""
