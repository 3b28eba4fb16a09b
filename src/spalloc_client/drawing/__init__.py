"""Pictures of machines: hexagons of text for terminals, and SVG.

Values in, text out: nothing here asks a server or knows a terminal. `scene` says what to show, `layout` says where,
and `text_map` and `svg` draw it.
"""
