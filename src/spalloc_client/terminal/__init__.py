"""What a terminal shows: styled text, tables, and screens redrawn in place.

Text and its layout are values (`text`, `table`, `screen`); only `console` and `window` use a real terminal.
"""
