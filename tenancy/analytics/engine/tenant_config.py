"""How one tenant is set up: the datasets it declares and its semantic model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tenancy.analytics.engine.limits.tenant_limits import TenantLimits
from tenancy.analytics.errors import ConfigurationError, near
from tenancy.analytics.query.model import SemanticModel
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import dataset_name


class TenantConfig(BaseModel):
    """The second argument of `register_tenant`. Without one, a tenant has `user_interactions`, grown from its data.

    >>> config = TenantConfig.load({"datasets": [{"name": "songs", "kind": "dimension", "key": "song_id"}]})
    >>> config.datasets[0].name
    'songs'
    >>> TenantConfig.load({"dataset": []})
    Traceback (most recent call last):
    tenancy.analytics.errors.ConfigurationError: tenant.dataset: '[]' is not valid; did you mean 'datasets'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    datasets: tuple[DatasetSchema, ...] = ()
    """Declared at once; a dataset that exists already keeps the schema it has grown to."""
    model: Mapping[str, Any] | str | None = None
    """The semantic model, as a mapping or as YAML text; used until another one is set."""
    limits: TenantLimits = TenantLimits()
    """What the tenant may use, until other limits are set; what is not given is as the settings say."""

    @field_validator("datasets")
    @classmethod
    def _names_are_names(cls, datasets: tuple[DatasetSchema, ...]) -> tuple[DatasetSchema, ...]:
        names = [dataset_name(schema.name) for schema in datasets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is declared twice")
        return datasets

    @classmethod
    def load(cls, given: Mapping[str, Any] | TenantConfig | None) -> Self:
        """The configuration that `given` is.

        Raises ConfigurationError that names the place and the nearest known key, and InvalidRequestError for a
        name that no dataset may have or a model that is none.
        """
        try:
            config = cls.model_validate(given._written() if isinstance(given, TenantConfig) else given or {})
        except ValidationError as error:
            raise _explained(error) from None
        config.semantic_model()
        return config

    def semantic_model(self) -> SemanticModel | None:
        """The model that is configured. Raises InvalidRequestError that names the key where it is not one."""
        if self.model is None:
            return None
        return SemanticModel.from_yaml(self.model) if isinstance(self.model, str) else SemanticModel.of(self.model)

    def settings(self) -> dict[str, Any]:
        """The configuration as the catalog keeps it: plain values, equal for equal configurations."""
        limits = self.limits.given()
        plain = self.model_dump(mode="json", exclude_defaults=True, exclude={"limits"})
        return {**plain, "limits": limits} if limits else plain

    def _written(self) -> dict[str, Any]:
        # A limit that was not given is not the same as one that is null.
        return {**self.model_dump(exclude={"limits"}), "limits": self.limits.given()}


def _explained(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False)[0]
    path = first["loc"]
    place = ".".join(["tenant", *map(str, path)])
    if first["type"] == "missing":
        return ConfigurationError(place, None, "it must be given")
    if first["type"] != "extra_forbidden":
        return ConfigurationError(place, first["input"], first["msg"].removeprefix("Value error, "))
    known = _keys_at(path[:-1])
    close = near(str(path[-1]), known) or known
    return ConfigurationError(place, first["input"], f"did you mean {' or '.join(map(repr, close))}?")


def _keys_at(path: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that may stand at `path`, found by walking the models' own annotations."""
    model: type[BaseModel] = TenantConfig
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return tuple(model.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
