# SPDX-License-Identifier: GPL-3.0-or-later
"""Host tools for storage: usage and warnings, the login banner, the purge of scratch. Standard library, Python 3.9."""
