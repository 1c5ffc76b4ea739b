"""A test that failed leaves nothing to the next one: all fixtures end with it, and its second try has a stack of its own.

A conftest takes the hook by importing it, and says in `item.call_failed` how the test went.
"""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    if getattr(item, "call_failed", False):
        item.session._setupstate.teardown_exact(None)
