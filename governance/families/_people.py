"""people.yaml: who proposes, and who decides when a person must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from domain import ActorKind, Identifier
from governance._builder import Builder
from governance._case import Actor
from governance._facts import ActorFacts
from governance._fields import NotEmpty, PolicyModel


class ActorEntry(PolicyModel):
    """One actor."""

    id: Identifier
    kind: ActorKind
    owner: Identifier | None = None


class GroupEntry(PolicyModel):
    """Persons who answer approvals together; the first valid answer counts."""

    name: Identifier
    members: Annotated[tuple[Identifier, ...], NotEmpty]


class PeopleFile(PolicyModel):
    """The file as people write it."""

    actors: Annotated[tuple[ActorEntry, ...], NotEmpty]
    groups: Annotated[tuple[GroupEntry, ...], NotEmpty]


@dataclass(frozen=True, slots=True)
class People:
    """Who exists.

    Attributes:
        actors: Everybody who may propose, by id.
        groups: Logins of each group, in the order of the file.
    """

    actors: dict[str, Actor]
    groups: dict[str, tuple[str, ...]]


def build_people(file: PeopleFile, builder: Builder) -> People:
    """Check the file and tell the other families which names exist."""
    roll = builder.roll
    roll.persons = frozenset(entry.id for entry in file.actors if entry.kind is ActorKind.PERSON)
    roll.actors = frozenset(entry.id for entry in file.actors)
    roll.groups = {group.name: frozenset(group.members) for group in file.groups}
    actors: dict[str, Actor] = {}
    for index, entry in enumerate(file.actors):
        loc = ("actors", index)
        if entry.id in actors:
            builder.reject((*loc, "id"), f"the actor {entry.id!r} is listed twice", code="duplicate-id")
        if entry.owner is not None:
            builder.known((*loc, "owner"), entry.owner, roll.persons, "person")
        elif entry.kind is ActorKind.AI_AGENT:
            builder.reject(loc, f"the agent {entry.id!r} needs an owner: the person who answers for it")
        facts = ActorFacts(id=entry.id, kind=entry.kind, owner=entry.owner)
        actors[entry.id] = Actor(entry.id, entry.kind, entry.owner, facts)
    groups: dict[str, tuple[str, ...]] = {}
    for index, group in enumerate(file.groups):
        if group.name in groups:
            builder.reject(
                ("groups", index, "name"), f"the group {group.name!r} is listed twice", code="duplicate-id"
            )
        builder.all_known(("groups", index, "members"), group.members, roll.persons, "person")
        groups[group.name] = group.members
    return People(actors, groups)
