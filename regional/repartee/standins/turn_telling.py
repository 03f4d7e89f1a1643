"""From what is heard to what a client hears of turns, for recognisers that decide on them: Flux and ink-2."""

from collections.abc import Callable

from repartee.standins.listening import FINISH_LEAD_MS, Listening, Message
from repartee.standins.recogniser import Recogniser
from repartee.standins.turns import UNFINISHED_MS, UNSURE_MS, FluxTurns, TurnEvent


def heard_step(listening: Listening, turns: FluxTurns, tell: Callable[[TurnEvent], None]) -> None:
    """After each step of the audio: have words made out where they are due, and tell what follows."""
    heard = listening.heard
    if heard.onset_ms is None:
        return
    if turns.speaking:
        silence_ms = heard.position_ms - heard.last_sound_ms
        if silence_ms <= 0:
            if not turns.paused:
                listening.speech_goes_on()
        elif silence_ms >= turns.first_pause_ms - FINISH_LEAD_MS:
            listening.ask_for_words()
    recogniser = listening.recogniser
    hold_ms = _hold_ms(recogniser) if heard.position_ms > heard.last_sound_ms else 0.0
    wordless = recogniser.wordless
    for event in turns.step(heard, hold_ms=hold_ms, worded=not wordless):
        tell(event)
    if not turns.speaking and wordless and heard.position_ms - heard.last_sound_ms >= UNSURE_MS:
        listening.utterance_over()  # there was a sound, and no word in it


def _hold_ms(recogniser: Recogniser) -> float:
    """How long a silence these words need before they can be the end of a turn."""
    if not recogniser.understood:
        return UNSURE_MS
    return UNFINISHED_MS if recogniser.unfinished else 0.0


def tell_turn(listening: Listening, turns: FluxTurns, event: TurnEvent, build: Message) -> None:
    """Tell of one event, once its words are known."""
    if event is TurnEvent.RESUMED:
        listening.speech_goes_on(after_pause=True)
    ended = event in (TurnEvent.EAGER, TurnEvent.END)
    wording = listening.ask_for_words() if ended else listening.known_words()
    state = listening.state
    listening.tell(build, wording, state.draw("extra", state.profile.stt.extra_ms))
    if event is TurnEvent.END:
        turns.over()
        listening.utterance_over()
