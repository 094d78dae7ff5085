"""Pages that tell of rows before something is done with them, and the answer to what they told."""


def told_by(client, address):
    """What the page's form holds."""
    return client.get(address).context["form"].initial


def confirmed(client, address, follow=True, **answers):
    """Look at the page, then answer it."""
    return client.post(address, {**told_by(client, address), **answers}, follow=follow)
