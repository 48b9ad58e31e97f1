"""`data:` URLs (RFC 2397), as chat formats carry pictures, sounds and documents in them."""

from assay.errors import Untranslatable


def read_data_url(url: str, place: str) -> tuple[str, str]:
    """Media type and base64. Raises `Untranslatable` naming `place` for what is no such URL in base64."""
    head, comma, octets = url.partition(",")
    media_type, *parameters = head.removeprefix("data:").split(";")
    if not (url.startswith("data:") and comma and parameters and parameters[-1].strip() == "base64"):
        raise Untranslatable(
            f"{place} is no `data:` URL in base64", param=place, hint="Send data:<media type>;base64,<data>."
        )
    return media_type, octets
