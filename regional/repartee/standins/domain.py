"""What callers of the front desk say: the sentences recognition expects, and the ones worth suggesting.

Data and templates only. Recognition's language model is built from :func:`sentences`; the words must be in the
pronouncing dictionary (a test sees to it).
"""

from itertools import product

COMPANY = "Linden and Ash"

SUGGESTED_QUESTIONS = (
    "What are your opening hours?",
    "Where are you?",
    "What is the balance of my account?",
    "What were my last transactions?",
    "Can I have an appointment on Thursday?",
    "How do you work?",
    "What can you do?",
)

NAMES = (
    "anna", "ben", "clara", "daniel", "david", "emma", "george", "hannah", "henry", "jack", "james", "john", "julia",
    "kate", "laura", "lisa", "maria", "mark", "martin", "mary", "michael", "nina", "oliver", "paul", "peter",
    "robert", "sam", "sarah", "sophie", "susan", "thomas", "tom", "victor",
)  # fmt: skip

DAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "tomorrow",
    "today",
    "next week",
)
PARTS_OF_DAY = ("morning", "afternoon", "evening")
HOURS = ("eight", "nine", "ten", "eleven", "twelve", "one", "two", "three", "four", "five", "six")
TIMES = (
    *(f"{hour} o'clock" for hour in HOURS),
    *(f"half past {hour}" for hour in HOURS),
    *(f"{hour} thirty" for hour in HOURS),
)

_GREETINGS = ("hello", "hi", "hi there", "hey", "good morning", "good afternoon", "good evening")
_POLITE = ("", " please")
_CAN = ("can you", "could you", "can you please", "could you please")

_PLAIN = """
hello can you hear me
can you hear me
is anybody there
are you there
are you still there
who are you
who is this
who am i talking to
are you a robot
are you a real person
are you a computer
what is your name
what's your name
how are you
how are you today
how are you doing
nice to meet you
what can you do
what can you do for me
what else can you do
what can you help me with
how can you help me
can you help me
i need help
i need some help
i have a question
i have another question
help me please
what are your opening hours
what are your hours
what time do you open
when do you open
when do you close
what time do you close
when are you open
are you open today
are you open tomorrow
are you open now
are you open on the weekend
are you open at the weekend
how long are you open
how late are you open
until when are you open
till when are you open today
where are you
where are you located
where is your office
where can i find you
what is your address
what's your address
what is the address
how do i get there
how do i get to you
how can i get to your office
is there parking
can i park there
where can i park
what is the balance of my account
what is my balance
what's my balance
what is my account balance
what's my account balance
what is the balance on my account
how much money do i have
how much money is in my account
how much do i have
how much is in my account
what is the balance of my savings account
what is the balance of my checking account
what is in my savings account
how much is in my savings account
how much is in my checking account
how much do i have in my savings
and my savings account
and in my savings account
and my checking account
what about my savings
what about my savings account
is this linden and ash
what were my last transactions
what are my last transactions
what were my recent transactions
what are my recent transactions
what were the last transactions
and what were my last transactions
what were my last payments
what did i spend
what did i spend last week
how much did i spend
what did i buy last week
what was my last payment
what are my latest payments
has my payment arrived
can i have an appointment
can i get an appointment
can i make an appointment
i need an appointment
i would like an appointment
i'd like an appointment
i want an appointment
i want to make an appointment
i would like to make an appointment
i'd like to make an appointment
i want to book an appointment
i would like to book an appointment
i'd like to book an appointment
i need to see a doctor
i would like to see the doctor
when is the next free appointment
when can i come
when can i come in
what times are free
what times do you have
which times are free
what is available
the first one please
the second one please
the first one
the second one
the earlier one please
the later one please
that works for me
that works
that sounds good
that is fine
that's fine
yes please
yes that is right
yes that's right
yes
no
no thank you
no thanks
no that is all
no that's all
okay
ok
great
perfect
how do you work
how does this work
how does it work
how fast are you
how are you so fast
why are you so fast
tell me how you work
explain how you work
please explain how this works
how is this so fast
tell me about yourself
tell me more
tell me more about that
what is repartee
can you repeat that
can you repeat that please
could you repeat that
could you repeat that please
please repeat that
say that again
say that again please
can you say that again
sorry what did you say
what did you say
pardon
once more please
i did not understand that
i didn't understand that
what is my name
what's my name
do you know my name
do you remember my name
do you remember me
what did i ask
what did i ask you
what did i ask before
what was my question
what was my first question
what did i ask first
thank you
thank you very much
thanks
thanks a lot
thanks for your help
thank you for your help
thank you that was all
thank you that is all
that was all
that is all
goodbye
good bye
bye
bye bye
see you
see you tomorrow
see you then
have a nice day
have a good day
stop
stop it
stop please
wait
wait a moment
wait a minute
one moment please
hold on
sorry
excuse me
never mind
not that
no not that
i want to talk to a person
i want to speak to a person
can i speak to a person
can i talk to a human
can i speak to somebody
please connect me
what is the weather like
what is the weather like today
what's the weather like today
tell me a joke
what time is it
what day is it
can you order a pizza
can you book a flight
can you send money
i want to send money
i want to transfer money
can you transfer money
cancel my appointment
i want to cancel my appointment
i need to cancel my appointment
"""


def sentences() -> list[str]:
    """All sentences of the domain, in lower case without punctuation. Repetitions stand for what is said often."""
    found = [line for line in _PLAIN.split("\n") if line]
    found += list(_GREETINGS)
    found += [
        f"{greeting} my name is {name}" for greeting, name in product(("hello", "hi", "good morning"), NAMES)
    ]
    for name in NAMES:
        found += [
            f"my name is {name}",
            f"this is {name}",
            f"i am {name}",
            f"i'm {name}",
            f"hello this is {name}",
        ]
        found += [f"it's {name}", name]
    found += _appointments()
    found += [f"{can} {what}" for can, what in product(_CAN, _REQUESTS)]
    found += [f"{question}{polite}" for question, polite in product(_REQUESTS, _POLITE)]
    found += [f"{greeting} {question}" for greeting, question in product(("hello", "hi"), _OPENERS)]
    return found


_OPENERS = (
    "what are your opening hours", "where are you", "what is my balance", "how do you work", "what can you do",
    "i would like an appointment", "who are you", "how are you", "i have a question",
    "what were my last transactions",
)  # fmt: skip

_REQUESTS = (
    "tell me your opening hours", "tell me the opening hours", "tell me your address", "tell me my balance",
    "tell me my account balance", "tell me the balance of my account", "check my balance", "check my account",
    "look up my account", "show me my last transactions", "tell me my last transactions",
    "tell me my recent transactions", "tell me my last payments", "make an appointment", "book an appointment",
    "make an appointment for me", "tell me how you work", "explain how you work", "repeat that", "say that again",
    "speak slowly", "speak more slowly", "help me", "hear me", "tell me where you are", "tell me what you can do",
)  # fmt: skip


def _appointments() -> list[str]:
    found: list[str] = []
    for day in DAYS:
        on = day if day in ("tomorrow", "today", "next week") else f"on {day}"
        found += [f"{opening} {on}" for opening in _WISHES]
        found += [
            f"are you open {on}",
            f"{on}",
            f"{on} please",
            f"is there anything free {on}",
            f"what about {day}",
        ]
        found += [
            f"how about {day}",
            f"do you have time {on}",
            f"when can i come {on}",
            f"what times are free {on}",
        ]
        if on == day and day != "next week":
            continue
        for part in PARTS_OF_DAY:
            found += [f"{on} {part}", f"can i come by {on} {part}", f"can i have an appointment {on} {part}"]
            found += [f"{day} {part} please", f"how about {day} {part}"]
    for time in TIMES:
        found += [
            time,
            f"{time} please",
            f"at {time}",
            f"at {time} please",
            f"i will take {time}",
            f"how about {time}",
        ]
        found += [f"{time} is fine", f"{time} works for me", f"can i come at {time}"]
    found += _bookings()
    found += [f"in the {part}" for part in PARTS_OF_DAY] + [f"in the {part} please" for part in PARTS_OF_DAY]
    return found


def _bookings() -> list[str]:
    """A day and a time in one sentence: not every pair, but each time with two days."""
    found: list[str] = []
    for number, time in enumerate(TIMES):
        for day in (DAYS[number % 8], DAYS[(number + 3) % 8]):
            on = day if day in ("tomorrow", "today") else f"on {day}"
            found += [
                f"book {day} at {time}",
                f"please book {day} at {time}",
                f"can you book {day} at {time}",
            ]
            found += [f"{time} {on}", f"i would like {time} {on}", f"{day} at {time} please"]
    return found


_WISHES = (
    "can i have an appointment", "can i get an appointment", "can i make an appointment", "i need an appointment",
    "i would like an appointment", "i'd like an appointment", "i want an appointment", "can i come by", "can i come",
    "can i come in", "do you have anything free", "do you have an appointment", "i would like to come",
    "can you book me an appointment", "please book an appointment",
)  # fmt: skip

UNFINISHED_ENDINGS = frozenset((
    "a", "an", "the", "my", "your", "of", "at", "and", "or", "but", "is", "are", "am", "was", "were", "be",
    "can", "could", "would", "i'd",
))  # fmt: skip
"""Hardly anybody ends a turn with one of these; recognition waits longer then."""
