"""How much a caller may send for one request, in whichever ways."""

from media_agent.errors import TooLargeError


class InputRoom:
    """How many bytes the inputs of one call may still have, all of them together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.left = most

    def take(self, size: int) -> None:
        """Count an input.

        Raises:
            TooLargeError: it is more than there is room for.
        """
        self.left -= size
        if self.left < 0:
            raise TooLargeError(
                f"the inputs of the call have more than the {self._most} bytes allowed together"
            )
