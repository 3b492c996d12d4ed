"""The viewer: a timeline as one page that needs no server."""
