"""The policies that come with media-agent; plugins bring further ones."""

from media_agent.policy.blocklist import make_blocklist
from media_agent.policy.consent import make_consent
from media_agent.policy.decisions import PolicySpec

SHIPPED = (PolicySpec("blocklist", make_blocklist), PolicySpec("consent", make_consent))
