"""Messages as the contract's JSON (R69): the table of docs/driver-contract.md, by the options of fields."""

from __future__ import annotations

import base64
import json
from typing import Any

from conveyor.v1 import options_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message


def to_json(message: Message) -> dict[str, Any]:
    """What is set of a message. What is not may be left out of what a driver says."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if is_map(field):
            of = field.message_type.fields_by_name["value"]
            found[field.name] = {key: value_to_json(of, one) for key, one in value.items()}
        elif field.is_repeated:
            found[field.name] = [value_to_json(field, one) for one in value]
        else:
            found[field.name] = value_to_json(field, value)
    return found


def from_json(message: Message, found: dict[str, Any]) -> None:
    """Sets a message's fields. Those that are not known are left out: they are a later contract's (R5)."""
    for name, value in found.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            continue
        if is_map(field):
            of = field.message_type.fields_by_name["value"]
            for key, one in value.items():
                getattr(message, name)[key] = value_from_json(of, one)
        elif field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                part = getattr(message, name)
                from_json(part.add() if field.is_repeated else part, one)
                if not field.is_repeated:
                    part.SetInParent()
        elif field.is_repeated:
            getattr(message, name).extend(value_from_json(field, one) for one in value)
        else:
            setattr(message, name, value_from_json(field, value))


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def form(field: FieldDescriptor) -> int:
    return field.GetOptions().Extensions[options_pb2.json]


def prefix(enum: EnumDescriptor) -> str:
    """What the names of its values begin with: `REPORT_STATUS_` of ReportStatus."""
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def value_to_json(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.enum_type is not None:
        name = field.enum_type.values_by_number[value].name
        return name.removeprefix(prefix(field.enum_type)).lower()
    if field.type == FieldDescriptor.TYPE_BYTES:
        if form(field) == options_pb2.JSON_FORM_INLINE:
            return json.loads(value)
        if form(field) == options_pb2.JSON_FORM_TEXT:
            return value.decode(errors="replace")
        return base64.b64encode(value).decode()
    return value


def value_from_json(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        name = prefix(field.enum_type) + str(value).upper()
        known = field.enum_type.values_by_name.get(name)
        return known.number if known is not None else 0
    if field.type == FieldDescriptor.TYPE_BYTES:
        if form(field) == options_pb2.JSON_FORM_INLINE:
            return json.dumps(value, ensure_ascii=False).encode()
        if form(field) == options_pb2.JSON_FORM_TEXT:
            return value.encode()
        return base64.b64decode(value)
    return value
