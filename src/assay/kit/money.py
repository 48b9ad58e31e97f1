"""Money in US dollars: exact decimals from the price list to the page, never floats.

Columns are DECIMAL(38, 20); SQLite keeps the text. An amount that is not known is None, never zero.
"""

from decimal import Context, Decimal

SCALE = 20
"""Digits after the point that every column keeps."""

NOTHING = Decimal(0)

_exact = Context(prec=60)


def usd(amount: str | int | Decimal) -> Decimal:
    """Parse an amount. Floats are refused by the type checker: `usd(0.1)` would already be wrong."""
    return Decimal(amount)


def add(one: Decimal, other: Decimal) -> Decimal:
    """The exact sum; Python's default rounds it to 28 digits."""
    return _exact.add(one, other)


def subtract(one: Decimal, other: Decimal) -> Decimal:
    """The exact difference."""
    return _exact.subtract(one, other)


def total(amounts: list[Decimal | None]) -> Decimal | None:
    """The exact sum, or None as soon as one amount is unknown."""
    result = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        result = _exact.add(result, amount)
    return result


def text(amount: Decimal) -> str:
    """Plain digits without an exponent or trailing zeros: what SQLite keeps and what a header says."""
    plain = f"{amount:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def display(amount: Decimal | None, *, digits: int = 6) -> str:
    """For people: `$0.000123`, `$12.30`, or `unknown`."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${text(round(amount, digits))}" if round(amount, digits) else f"<${Decimal(1).scaleb(-digits):f}"
