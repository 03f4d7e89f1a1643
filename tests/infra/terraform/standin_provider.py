"""A provider that takes exactly the arguments in `provider_schema.json` and makes nothing.

Terraform talks to it over the plugin protocol as to a real one, so that it checks types, works out what is known
when, plans and applies the whole configuration. It knows no cloud: values that a provider would compute are made up,
and rules beyond the schema (which values AWS accepts) are not checked.
"""

import json
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

WITHOUT = "the package tf is not installed: the configuration was not planned against stand-in providers"
grpc: Any = pytest.importorskip("grpc", reason=WITHOUT)
msgpack: Any = pytest.importorskip("msgpack", reason=WITHOUT)
pb: Any = pytest.importorskip("tf.gen.tfplugin_pb2", reason=WITHOUT)
rpc: Any = pytest.importorskip("tf.gen.tfplugin_pb2_grpc", reason=WITHOUT)

UNKNOWN = msgpack.ExtType(0, b"\x00")
# Field 11 of an attribute, true: the value is given to the provider and kept nowhere. Newer than the bindings.
WRITE_ONLY = b"\x58\x01"
MADE_UP: dict[str, Any] = {
    "account_id": "123456789012",
    "names": ["zone-a", "zone-b", "zone-c"],
    "partition": "aws",
    "domain_validation_options": [
        {
            "domain_name": "host.example.com",
            "resource_record_name": "_proof.example.com.",
            "resource_record_type": "CNAME",
            "resource_record_value": "_value.acm.example.",
        }
    ],
}


def is_write_only(name: str) -> bool:
    return name.endswith("_wo")


def block(arguments: dict[str, Any], attributes: dict[str, Any], *, top: bool = True) -> Any:
    """The protocol's form of a resource's arguments and attributes."""
    result = pb.Schema.Block()
    for name, shape in arguments.items():
        plain, required = name.removesuffix("!"), name.endswith("!")
        if isinstance(shape, dict):
            inner = block(shape, {}, top=False)
            nested = pb.Schema.NestedBlock(type_name=plain, block=inner, nesting=2, min_items=int(required))
            result.block_types.append(nested)
            continue
        write_only = is_write_only(plain)
        computed = top and not required and not write_only
        attribute = pb.Schema.Attribute(
            name=plain,
            type=json.dumps(shape).encode(),
            required=required,
            optional=not required,
            computed=computed,
        )
        if write_only:
            attribute.MergeFromString(WRITE_ONLY)
        result.attributes.append(attribute)
    for name, type_ in attributes.items():
        result.attributes.append(
            pb.Schema.Attribute(name=name, type=json.dumps(type_).encode(), computed=True)
        )
    return result


def computed_types(entry: dict[str, Any]) -> dict[str, Any]:
    """What a provider may fill in by itself: attributes, and arguments that were left out."""
    left_out = {
        n: t for n, t in entry["arguments"].items() if not n.endswith("!") and not isinstance(t, dict)
    }
    attributes: dict[str, Any] = entry["attributes"]
    return {n: t for n, t in left_out.items() if not is_write_only(n)} | attributes


def made_up(name: str, type_: Any, mark: str) -> Any:
    """A value of the type, the same for the same name and mark."""
    if name in MADE_UP:
        return MADE_UP[name]
    if isinstance(type_, list):
        return {} if type_[0] == "map" else []
    return {"number": 1, "bool": False}.get(type_, f"{name}-{mark}")


def fill(values: dict[str, Any], entry: dict[str, Any], wanted: Callable[[Any], bool], mark: str) -> None:
    """Make up what the provider computes, wherever `wanted` says so of the value there."""
    for name, type_ in computed_types(entry).items():
        if wanted(values.get(name)):
            values[name] = made_up(name, type_, mark)


def decode(value: Any) -> Any:
    return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False)


def encode(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


class StandinProvider:
    """One provider: `prefix` is what its resources' names begin with. `given` collects the configurations applied."""

    def __init__(self, prefix: str, schema: dict[str, Any]) -> None:
        self._resources = {n: e for n, e in schema["resource"].items() if n.startswith(prefix)}
        self._data = {n: e for n, e in schema["data"].items() if n.startswith(prefix)}
        self._made = 0
        self.given: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[[Any, Any], Any]:
        """Whatever else the protocol has: answered with nothing to say."""
        message = getattr(pb, name, None)
        if name.startswith("_") or message is None:
            raise AttributeError(name)
        response: Callable[[Any, Any], Any] = lambda request, context: message.Response()  # noqa: E731
        return response

    def GetMetadata(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask for the schema")

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        tags = pb.Schema.Block(
            attributes=[pb.Schema.Attribute(name="tags", type=b'["map","string"]', optional=True)]
        )
        own = pb.Schema.Block(
            attributes=[pb.Schema.Attribute(name="region", type=b'"string"', optional=True)],
            block_types=[pb.Schema.NestedBlock(type_name="default_tags", nesting=2, block=tags)],
        )
        return pb.GetProviderSchema.Response(
            provider=pb.Schema(block=own),
            resource_schemas={n: self._schema(e) for n, e in self._resources.items()},
            data_source_schemas={n: self._schema(e) for n, e in self._data.items()},
        )

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request: Any, context: Any) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        values = decode(request.config)
        fill(values, self._data[request.type_name], lambda value: value is None, "read")
        return pb.ReadDataSource.Response(state=encode(values))

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        values = decode(request.proposed_new_state)
        if values is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        values |= {name: None for name in values if is_write_only(name)}
        if decode(request.prior_state) is None:
            for name in computed_types(self._resources[request.type_name]):
                values[name] = UNKNOWN if values.get(name) is None else values[name]
        return pb.PlanResourceChange.Response(planned_state=encode(values))

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        values = decode(request.planned_state)
        if values is None:
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        self.given.append((request.type_name, decode(request.config)))
        self._made += 1
        entry = self._resources[request.type_name]
        fill(values, entry, lambda value: isinstance(value, msgpack.ExtType), f"made-{self._made}")
        return pb.ApplyResourceChange.Response(new_state=encode(values))

    def _schema(self, entry: dict[str, Any]) -> Any:
        return pb.Schema(block=block(entry["arguments"], entry["attributes"]))


def serve(provider: StandinProvider, socket: Path) -> Any:
    """Answer Terraform on a Unix socket until stopped."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    rpc.add_ProviderServicer_to_server(provider, server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    return server


def reattach(process: int, sockets: dict[str, Path]) -> str:
    """The value of TF_REATTACH_PROVIDERS by which Terraform finds the providers that already run."""
    return json.dumps(
        {
            f"registry.terraform.io/{source}": {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": process,
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
            for source, socket in sockets.items()
        }
    )
