"""The web side of Keepstep, on ASGI. Needs the extra ``keepstep[server]``; nothing else of Keepstep imports it."""
