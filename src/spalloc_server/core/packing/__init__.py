"""Where a request can be met on one machine, and which of the possible places leaves the rest most usable.

Whose turn it is, is the scheduler's subject.

**To read downwards.** `packer` answers the scheduler. It knows from `wishes` what a request comes to on its machine,
and from `occupancy` who has which boards. It hands `search` a demand and a space: `space` is a set of open boards and,
for each size, the rectangles of that size with all that a search asks of them. These rest on facts of the machine
(`fabric`) and on arithmetic (`grids`, `bitmaps`).

**The memo: versions of the free space.** Most searches would find nothing, as they found nothing before, and few boards
have been freed since. So a space has a version: how many boards have been opened in it so far, each counted every time.
Who searches and finds nothing remembers the version (`failed_version`) or from which on there can be something
(`next_version`). A job that lacked n boards can have no place before the version is larger by n. No rectangle of a size
has more open boards than the fullest one had, and as many more as the version is larger by. And a place that there was
not before is connected to a board that was opened since, unless others' boards were in its way, as they may be where
boards may be missing or a torus is asked for. Taking boards opens no place, and leaves the version as it is. Forgetting
a version costs time and changes no decision.
"""
