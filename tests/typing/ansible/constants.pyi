# The settings that Lyceum's plugins read; ansible-core ships no types.
COLOR_ERROR: str
COLOR_WARN: str
DEFAULT_HOST_LIST: list[str]
