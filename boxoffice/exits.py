"""What the exit codes of `boxoffice` mean, the same for every command."""

#: Done; and for a command that checks something: it holds.
DONE = 0
#: It could not be done, or what was checked does not hold.
FAILED = 1
#: The command was given wrongly.
USAGE = 2
#: There is nobody to talk to: the stack is not running, or a service or RabbitMQ does not answer.
UNREACHABLE = 3
#: What was checked is neither right nor wrong by what this command knows; a person, or a service, has to say.
DOUBTFUL = 4
#: Ctrl-C.
INTERRUPTED = 130


class CommandError(Exception):
    """A command ends here. Its text goes to stderr, its code to the shell."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code
