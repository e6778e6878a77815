"""What the description can't say in a schema: the JSON parser takes no U+0000 in a member's name."""

import schemathesis


def _has_nul_name(value):
    if isinstance(value, dict):
        return any("\0" in k or _has_nul_name(v) for k, v in value.items())
    return isinstance(value, list) and any(_has_nul_name(v) for v in value)


@schemathesis.hook
def filter_body(context, body):
    return not _has_nul_name(body)
