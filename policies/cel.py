"""The one door to CEL (cel-expr-python, Google's C++ implementation): typed conditions over facts.

Facts are declared as shapes and become protobuf messages, so that a misspelt field or a comparison of
different types is refused when the pack is loaded (https://github.com/google/cel-spec, "Checker").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from core.errors import PolicyError
from policies.facts import Many, Record, Shape

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    str: _FIELD.TYPE_STRING,
    int: _FIELD.TYPE_INT64,
    float: _FIELD.TYPE_DOUBLE,
    bool: _FIELD.TYPE_BOOL,
}
_CEL = {str: cel.Type.STRING, int: cel.Type.INT, float: cel.Type.DOUBLE, bool: cel.Type.BOOL}
_COLUMN = re.compile(r"<input>:\d+:(\d+): (.*)")
_PACKAGE = "greenlight"

Bindings = Mapping[str, Any]
"""CEL variables by name; made by `Messages.value`."""


class EvaluationFailed(Exception):
    """An expression gave an error instead of true or false."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled CEL expression of type bool."""

    source: str
    run: Callable[[Bindings], Any]

    def holds(self, bindings: Bindings) -> bool:
        """Evaluate; raise `EvaluationFailed` where CEL has an error value or gives up on very long lists."""
        try:
            value = self.run(bindings)
        except RuntimeError as error:
            raise EvaluationFailed(str(error)) from error
        if value.type() != cel.Type.BOOL:
            raise EvaluationFailed(str(value.value()))
        return bool(value.value())


@dataclass(frozen=True, slots=True)
class Several:
    """Compiled CEL expressions of type bool that are evaluated in one go."""

    run: Callable[[Any], Any]
    count: int = 0

    def hold(self, activation: Any, count: int | None = None) -> list[bool] | None:
        """Evaluate all, or answer None where any of them gave an error or there are not so many.

        CEL allows itself 10,000 steps through lists in one evaluation: a bundle may need more than a rule.
        """
        try:
            value = self.run(activation)
        except RuntimeError:
            return None
        if value.type() == cel.Type.ERROR:
            return None
        found = value.plain_value()
        if not isinstance(found, list) or len(found) != (self.count if count is None else count):
            return None
        return found if all(type(one) is bool for one in found) else None


class Messages:
    """The protobuf messages behind a set of shapes; one set serves every language that shares values."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        """Declare every record within the shapes; records of one name must be one record."""
        self._pool = descriptor_pool.DescriptorPool()
        self._pool.Add(_described(shapes))
        self._makers: dict[str, _Maker] = {}

    def value(self, shape: Shape, value: Any) -> Any:
        """Turn a JSON value that was checked against `shape` into a CEL value; unknown fields are left out.

        Raises ValueError for what no message can hold, such as half a character.
        """
        if isinstance(shape, Many):
            return [self.value(shape.of, item) for item in value]
        if isinstance(shape, Record):
            return self._maker(shape.name).made(value)
        return shape(value)

    def language(self, variables: Mapping[str, Shape]) -> Language:
        """Give the language in which these variables can be spoken of."""
        types = {name: self._type(shape) for name, shape in variables.items()}
        return Language(cel.NewEnv(self._pool, variables=types))

    def _maker(self, name: str) -> _Maker:
        if name not in self._makers:
            descriptor = self._pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
            nested = {
                field.name: self._maker(field.message_type.name)
                for field in descriptor.fields
                if field.message_type is not None
            }
            plain = tuple(field.name for field in descriptor.fields if field.name not in nested)
            self._makers[name] = _Maker(message_factory.GetMessageClass(descriptor), plain, nested)
        return self._makers[name]

    def _type(self, shape: Shape) -> cel.Type:
        if isinstance(shape, Many):
            return cel.Type.List(self._type(shape.of))
        if isinstance(shape, Record):
            return cel.Type(f"{_PACKAGE}.{shape.name}")
        return _CEL[shape]


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes one kind of message from JSON: `plain` fields as they are, `nested` ones by makers of their own."""

    kind: type[message.Message]
    plain: tuple[str, ...]
    nested: Mapping[str, _Maker]

    def made(self, value: Mapping[str, Any]) -> message.Message:
        fields = {name: value[name] for name in self.plain if name in value}
        for name, maker in self.nested.items():
            if name in value:
                inner = value[name]
                many = isinstance(inner, list)
                fields[name] = [maker.made(one) for one in inner] if many else maker.made(inner)
        try:
            return self.kind(**fields)
        except TypeError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Language:
    """CEL with declared variables."""

    env: cel.Env

    def compile(self, source: str) -> Condition:
        """Check and compile an expression; raise `PolicyError` naming the column."""
        try:
            expression = self.env.compile(source)
        except RuntimeError as error:
            raise PolicyError(_readable(str(error))) from error
        if expression.return_type() != cel.Type.BOOL:
            raise PolicyError(f"column 1: this is {expression.return_type().name()}, not true or false")
        return Condition(source, lambda bindings: expression.eval(data=bindings))

    def several(self, sources: Sequence[str]) -> Several:
        """Compile expressions, each of which compiled by itself, into one that gives the list of their values."""
        made = self.one("[" + ", ".join(f"({source}\n)" for source in sources) + "]")
        return Several(made.run, len(sources))

    def one(self, source: str) -> Several:
        """Compile one expression that gives a list of booleans."""
        try:
            return Several(self.env.compile(source).eval)
        except RuntimeError as error:
            raise PolicyError(_readable(str(error))) from error

    def bound(self, bindings: Bindings) -> Any:
        """Bind variables once for many evaluations."""
        return self.env.Activation(bindings)


def _readable(error: str) -> str:
    found = _COLUMN.search(error)
    return f"column {found[1]}: {found[2]}" if found else error


def _described(shapes: Iterable[Shape]) -> descriptor_pb2.FileDescriptorProto:
    records = {record.name: record for shape in shapes for record in _records(shape)}
    file = descriptor_pb2.FileDescriptorProto(name="facts.proto", package=_PACKAGE, syntax="proto3")
    for record in records.values():
        entry = file.message_type.add(name=record.name)
        for number, (name, shape) in enumerate(record.fields.items(), start=1):
            _add_field(entry, name, number, shape)
    return file


def _records(shape: Shape) -> Iterator[Record]:
    if isinstance(shape, Many):
        yield from _records(shape.of)
    elif isinstance(shape, Record):
        yield shape
        for field in shape.fields.values():
            yield from _records(field)


def _add_field(entry: descriptor_pb2.DescriptorProto, name: str, number: int, shape: Shape) -> None:
    label = _FIELD.LABEL_REPEATED if isinstance(shape, Many) else _FIELD.LABEL_OPTIONAL
    item = shape.of if isinstance(shape, Many) else shape
    if isinstance(item, Record):
        kind, type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{item.name}"
        entry.field.add(name=name, number=number, label=label, type=kind, type_name=type_name)
    elif isinstance(item, type):
        entry.field.add(name=name, number=number, label=label, type=_SCALARS[item])
