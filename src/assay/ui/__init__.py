"""The page shell: one Jinja2 environment, the components every page is made of, and the static files.

`shell.page` renders a room's template inside the shell with the security headers; `templates/components.html` holds
the macros; `filters` and `words` turn numbers and verdicts into text. Model output is hostile input: everything is
escaped, no page carries an inline script or style, and the Content-Security-Policy says so to the browser.
"""
