"""Column types that keep their meaning on both databases."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec
from sqlalchemy import Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

from assay.kit import money

_PRECISION = 38
_QUANTUM = Decimal(1).scaleb(-money.SCALE)
_LIMIT = Decimal(10) ** (_PRECISION - money.SCALE)
_context = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Money(TypeDecorator[Decimal]):
    """US dollars as `Decimal`: NUMERIC(38, 20) in PostgreSQL, text in SQLite, which has no exact decimals.

    Digits beyond the twentieth are rounded half to even, the same on both. Text does not sort or add up by value:
    add amounts with `kit.money.total`, never with SQL. Floats are refused.
    """

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(Numeric(_PRECISION, money.SCALE, asdecimal=True))

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"{value!r} is not a Decimal; money is never a {type(value).__name__}")
        if not value.is_finite() or abs(value) >= _LIMIT:
            raise ValueError(f"{value} is not an amount of money that a column can keep")
        rounded = value.quantize(_QUANTUM, context=_context)
        return money.text(rounded) if dialect.name == "sqlite" else rounded

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        # Both databases answer with the same digits, so that an amount compares and prints alike.
        return None if value is None else Decimal(money.text(Decimal(value)))


class Json(TypeDecorator[Any]):
    """A JSON value as text; `Json(SomeStruct)` decodes into that type, `Json()` into plain dicts, lists and scalars.

    `None` is SQL NULL. Text, not JSONB: the order of keys and the digits of numbers stay as they were written.
    Decimals are written as strings, so that an untyped reader never sees a rounded float.
    """

    impl = Text
    cache_ok = True

    _encoder = msgspec.json.Encoder(decimal_format="string")

    def __init__(self, type: Any = Any) -> None:
        super().__init__()
        self.type = type
        self._decoder = msgspec.json.Decoder(type)

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else self._encoder.encode(value).decode()

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else self._decoder.decode(value)
