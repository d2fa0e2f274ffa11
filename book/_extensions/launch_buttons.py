"""Buttons to the repository, Colab and Binder as soon as the repository has an address.

``repository.url`` in ``_config.yml`` is the only setting. Without it no button leads
away from the book.
"""

COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"


def set_buttons(app, config):
    options = config.html_theme_options
    address = options.get("repository_url", "")
    for button in ("repository", "issues", "edit_page"):
        options[f"use_{button}_button"] = bool(address)
    options["launch_buttons"] = launchers(address) if address else {}


def launchers(address):
    buttons = {"notebook_interface": "jupyterlab", "binderhub_url": BINDER}
    if "github.com" in address:  # the only host whose notebooks Colab opens
        buttons["colab_url"] = COLAB
    return buttons


def setup(app):
    app.connect("config-inited", set_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
