"""Clips of people put together from still pictures and recorded voices that share a label."""

from emorec_train.training.people.source import PeopleClips

__all__ = ["PeopleClips"]
