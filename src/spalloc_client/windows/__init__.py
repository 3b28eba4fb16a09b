"""The room of what Windows lacks or does in a way of its own: each file stands in for something of other systems.

Who needs it chooses by `sys.platform`, where the type checker follows (it is run for both). Nothing here is
imported elsewhere than on Windows, but for tests.
"""
