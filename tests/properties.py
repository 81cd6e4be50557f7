"""How many examples a property test tries."""

from hypothesis import settings


def examples(count: int, **others) -> settings:
    """Try `count` examples, where a test tries 100 by default, and more by the factor that the profile sets.

    For properties of which one example is costly; `others` are further settings of hypothesis.
    """
    return settings(max_examples=count * settings.default.max_examples // 100, **others)
