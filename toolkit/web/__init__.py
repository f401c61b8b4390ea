"""The live view in a browser; `server.py` serves it, `live.html` is the page."""
