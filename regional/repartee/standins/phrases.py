"""What the dialogue model says, and by which keywords it knows what is asked. Data only."""

from collections.abc import Mapping

LONG_STORY = (
    "That is a good question. Your voice reaches me in small pieces, fifty of them every second, and I "
    "begin to make out words while you are still speaking. As soon as it seems that you have finished, I "
    "start to think of an answer, even before I am quite sure that it is my turn. The first few words of "
    "that answer are turned into speech while I am still looking for the rest, and they are held back "
    "until it is certain that you are done. If you go on speaking, I throw that answer away and begin "
    "again, and you never hear of it. All of this has to happen in less than half a second, because a "
    "longer pause feels wrong to people. And you can interrupt me at any time, just as you would with a "
    "person: I stop at once, and I remember only what you have really heard of me."
)
"""Some 35 seconds of speech: something to interrupt."""

INTENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "repeat",
        (
            r"\brepeat",
            r"say (that|it) again",
            r"what did you say",
            r"\bpardon",
            r"once more",
            r"n't understand",
            r"not understand",
        ),
    ),
    (
        "my_name",
        (
            r"(what|know|remember).*\bmy name\b",
            r"remember me",
            r"who am i\b",
        ),
    ),
    (
        "my_question",
        (
            r"did i ask",
            r"was my (first |last )?question",
            r"i ask (you|first|before)",
        ),
    ),
    (
        "cancel",
        (r"\bcancel\b",),
    ),
    (
        "person",
        (
            r"(talk|speak|connect).*\b(person|human|somebody|someone|agent)\b",
            r"connect me",
        ),
    ),
    (
        "transactions",
        (
            r"transaction",
            r"payments?\b",
            r"\b(spend|spent|buy|bought)\b",
            r"statement",
        ),
    ),
    (
        "balance",
        (
            r"balance",
            r"how much.*\b(account|money|have)\b",
            r"\bmoney\b.*\b(have|account)\b",
            r"check my account",
            r"my account",
        ),
    ),
    (
        "hours",
        (
            r"\bhours\b",
            r"\b(open|close|closed|closing|opening)\b",
        ),
    ),
    (
        "place",
        (
            r"where (are you|is your|can i (find|park))",
            r"\baddress\b",
            r"located",
            r"get (there|to you)",
            r"\bpark(ing)?\b",
            r"your office",
        ),
    ),
    (
        "story",
        (
            r"how (do|does|are|is).*\b(work|works|fast)\b",
            r"how (you|this|it) works?",
            r"how do you\b",
            r"so fast",
            r"explain",
            r"about yourself",
            r"repartee",
        ),
    ),
    (
        "abilities",
        (
            r"what (else )?(can|do) you (do|help)",
            r"help me",
            r"need (some )?help",
            r"can you help",
            r"you can do",
        ),
    ),
    (
        "booking",
        (
            r"o'clock",
            r"half past",
            r"\b(first|second|earlier|later) one",
            r"\bthirty\b",
            r"\bat (eight|nine|ten|eleven|twelve|one|two|three|four|five|six|\d)",
            r"\b\d\d? ?[ap]m\b",
            r"\bquarter (past|to)\b",
            r"\bbook\b.*\b(eight|nine|ten|eleven|twelve|one|two|three|four|five|six|\d\d?)\b",
        ),
    ),
    (
        "appointment",
        (
            r"appointment",
            r"\bbook\b",
            r"\bdoctor\b",
            r"\bcome (by|in|on)\b",
            r"can i come",
            r"\bfree\b",
            r"available",
            r"(mon|tues|wednes|thurs|fri|satur|sun)day",
            r"tomorrow",
            r"next week",
            r"\btimes\b",
        ),
    ),
    (
        "robot",
        (
            r"\brobot\b",
            r"real person",
            r"computer",
            r"who are you",
            r"who is this",
            r"your name",
            r"am i talking",
        ),
    ),
    (
        "goodbye",
        (
            r"\b(good ?)?bye\b",
            r"see you",
            r"nice day",
            r"good day",
            r"that (was|is) all",
            r"that's all",
        ),
    ),
    (
        "thanks",
        (r"\bthank",),
    ),
    (
        "well_being",
        (
            r"how are you",
            r"nice to meet",
        ),
    ),
    (
        "there",
        (
            r"hear me",
            r"you there",
            r"still there",
            r"anybody there",
        ),
    ),
    (
        "more",
        (
            r"tell me more",
            r"\bgo on\b",
            r"what else",
        ),
    ),
    (
        "stop",
        (r"^(no )?(stop|wait|hold on|never mind|one moment|not that|sorry|excuse me)",),
    ),
    (
        "yes",
        (r"^(yes|okay|ok|great|perfect|that works|that sounds|that('s| is) (fine|right))",),
    ),
    (
        "no",
        (r"^no\b",),
    ),
    (
        "question",
        (r"question",),
    ),
    (
        "greeting",
        (r"^(hello|hi|hey|good (morning|afternoon|evening))\b",),
    ),
)
"""Intents in the order in which they are tried; one of the patterns must be found in the caller's words."""

SAID: Mapping[str, str] = {
    "hours": (
        "We open at eight thirty. On weekdays we are here until six in the evening. On Saturdays we close at "
        "noon, and on Sundays we are closed."
    ),
    "place": (
        "We are on Mill Street. It is number twelve, two minutes from the central station. There is parking "
        "behind the house."
    ),
    "story": LONG_STORY,
    "abilities": (
        "I can help with four things. Ask me for our opening hours, for our address, for your account, or for"
        " an appointment."
    ),
    "robot": (
        "I am a computer voice. I answer the front desk of Linden and Ash, and I am only a small stand-in, "
        "not a real language model."
    ),
    "thanks": ("You are very welcome. Is there anything else?"),
    "well_being": ("I am very well, thank you. What can I do for you?"),
    "there": ("Yes, I can hear you. What can I do for you?"),
    "stop": ("All right, I have stopped. Tell me when you want to go on."),
    "yes": ("Good, that is settled. Is there anything else?"),
    "no": ("All right, then not. Is there anything else?"),
    "question": ("Please go ahead and ask. I will do my best."),
    "more": (
        "There is not much more. I am only the front desk, so ask me for our hours, our address, your account"
        " or an appointment."
    ),
    "person": (
        "I cannot connect you now. Nobody but me is on this line, but from eight thirty on you will find us "
        "at Mill Street twelve."
    ),
    "cancel": (
        "I cannot cancel it here. Please call us during our opening hours, and a colleague will take care of "
        "it."
    ),
    "balance": ("I cannot see accounts here. Nobody has given me a way to look them up in this call."),
    "transactions": ("I cannot see payments here. Nobody has given me a way to look them up in this call."),
    "appointment": (
        "I cannot see the calendar. Nobody has given me a way to look at it in this call, but you can come by"
        " whenever we are open."
    ),
    "booking": (
        "I cannot book that myself. Nobody has given me a way to write into the calendar in this call."
    ),
}
"""Answers that need no memory and no tool, by intent."""

NOT_MY_BUSINESS = (
    "I cannot help with that. I am only a small stand-in: ask me for our opening hours, our address, "
    "your account or an appointment."
)
