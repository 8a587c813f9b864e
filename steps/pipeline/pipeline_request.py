"""Which steps of the pipeline a user asks for."""

from dataclasses import dataclass

from steps.errors import UserError


@dataclass(frozen=True)
class Request:
    """What ``from``, ``force`` and ``until`` ask for.

    Attributes:
        names: the steps up to and including ``until``, in their order.
        start: the step of ``from``; empty: the first.
        forced: the steps of ``force``: they run, and resume no interrupted run.
    """

    names: tuple[str, ...]
    start: str
    forced: frozenset[str]

    @classmethod
    def parse(cls, start: str, force: str, until: str, names: tuple[str, ...]) -> "Request":
        """Read the three parameters.

        Args:
            start: the parameter ``from``.
            force: step names with commas between.
            until: the last step; empty: the last of all.
            names: all steps of the pipeline.

        Raises:
            UserError: a name is not that of a step, or nothing would run.
        """
        forced = frozenset(force.replace(" ", "").split(",")) - {""}
        for name in {start, until, *forced} - {""}:
            if name not in names:
                raise UserError(
                    f"{name!r} is not a step of the pipeline; pass one of: {' '.join(names)}"
                )
        asked = names[: names.index(until) + 1] if until else names
        if start and start not in asked:
            raise UserError(
                f"nothing would run: {start} comes after {until}; pass -P until={start} "
                "or a later step, or leave it out"
            )
        return cls(asked, start, forced)

    def skips(self, step: str) -> bool:
        """Whether a step comes before ``from``, so that its latest run is taken as it is."""
        return bool(self.start) and self.names.index(step) < self.names.index(self.start)

    def requires(self, step: str) -> bool:
        """Whether a step runs even if a finished run of it fits."""
        return step in self.forced or step == self.start

    def rest(self, step: str) -> dict[str, str]:
        """Return the parameters that ask for the pipeline from a step on.

        The step itself is not forced again: it resumes its interrupted run.
        """
        later = self.names[self.names.index(step) + 1 :]
        return {"from": step, "force": ",".join(name for name in later if name in self.forced)}
