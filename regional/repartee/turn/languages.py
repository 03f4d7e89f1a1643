"""What depends on the language that is spoken: a listener's sounds, and what the agent says of its own accord.

One row a language. An agent may replace each of these for itself.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One language's row.

    ``backchannels`` are words that, alone, do not interrupt, in lower case and without hyphens; ``thanks`` are those
    that, with backchannels, acknowledge a wait. ``style`` is added to the instructions of a spoken session.
    """

    tag: str
    backchannels: frozenset[str]
    thanks: frozenset[str]
    apology: str
    more: str
    """Said when an answer has reached its greatest length."""
    company: str
    """Said when a tool keeps the caller waiting and has nothing else to say."""
    still_there: str
    """Said when the caller has been silent for long."""
    resumed: str
    """Said when a call that was cut off goes on."""
    recorded: str
    """Said before a call is recorded."""
    openers: tuple[str, ...]
    """What models like to begin with: recorded at the start, so that the voice need not be asked for it."""
    style: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Language(
    tag="en",
    backchannels=_words(
        "ah aha alright hm hmm huh mhm mhmm mm mmhm mmhmm mmm oh okay ok right sure uh uhhuh um yeah yep "
        "yes yup"
    ),
    thanks=_words("thank thanks you so much great good fine perfect cool please"),
    apology="Sorry, something went wrong on my side. Could you say that again?",
    more="There is more. Shall I go on?",
    company="One moment, please.",
    still_there="Are you still there?",
    resumed="Sorry, we were cut off. Where were we?",
    recorded="This call is being recorded.",
    openers=(
        "Sure.",
        "Sure!",
        "Of course.",
        "Of course!",
        "Certainly.",
        "Absolutely!",
        "Great question!",
        "Let me check.",
        "Okay.",
    ),
    style=(
        "You are speaking with a caller. Answer in two or three short sentences of plain spoken "
        "language, without "
        "lists, markup or emoji, unless the caller asks for more. Say the most important thing first."
    ),
)

_ROWS = (
    ENGLISH,
    Language(
        tag="de",
        backchannels=_words(
            "ach ah aha äh ähm genau gut hm hmm ja jaja jo klar mhm mm mmh mmhm oh ok okay richtig so stimmt "
            "tja"
        ),
        thanks=_words("danke dankeschön vielen dank schön prima super bitte"),
        apology="Entschuldigung, da ist bei mir etwas schiefgegangen. Können Sie das noch einmal sagen?",
        more="Es gibt noch mehr dazu. Soll ich weitermachen?",
        company="Einen Moment, bitte.",
        still_there="Sind Sie noch da?",
        resumed="Entschuldigung, wir wurden unterbrochen. Wo waren wir stehen geblieben?",
        recorded="Dieses Gespräch wird aufgezeichnet.",
        openers=(
            "Gerne.",
            "Gerne!",
            "Natürlich.",
            "Natürlich!",
            "Selbstverständlich.",
            "Klar!",
            "Gute Frage!",
            "Einen Moment.",
        ),
        style=(
            "Du sprichst mit einem Anrufer. Antworte auf Deutsch in zwei oder drei kurzen Sätzen "
            "gesprochener Sprache, "
            "ohne Listen, Auszeichnungen oder Emojis, außer der Anrufer möchte mehr. Sag das Wichtigste zuerst."
        ),
    ),
    Language(
        tag="fr",
        backchannels=_words(
            "ah accord bah ben bien bon d'accord euh exact exactement hein hm hmm mhm mm oh ok okay oui "
            "ouais voilà"
        ),
        thanks=_words("merci beaucoup super parfait très"),
        apology="Désolé, il y a eu un problème de mon côté. Pouvez-vous répéter, s'il vous plaît ?",
        more="Il y a encore des choses à dire. Voulez-vous que je continue ?",
        company="Un instant, s'il vous plaît.",
        still_there="Vous êtes toujours là ?",
        resumed="Excusez-moi, nous avons été coupés. Où en étions-nous ?",
        recorded="Cet appel est enregistré.",
        openers=(
            "Bien sûr.",
            "Bien sûr !",
            "Avec plaisir.",
            "Certainement.",
            "D'accord.",
            "Bonne question !",
        ),
        style=(
            "Tu parles avec une personne au téléphone. Réponds en français, en deux ou trois phrases courtes "
            "de langage "
            "parlé, sans listes, sans balisage ni émojis, sauf si elle en demande plus. Dis d'abord "
            "l'essentiel."
        ),
    ),
    Language(
        tag="es",
        backchannels=_words(
            "ah ajá bien bueno claro correcto eh exacto hm hmm mhm mm oh ok okay sí si vale ya"
        ),
        thanks=_words("gracias muchas perfecto genial muy por favor"),
        apology="Perdone, algo ha fallado por mi parte. ¿Puede repetirlo, por favor?",
        more="Hay algo más. ¿Quiere que siga?",
        company="Un momento, por favor.",
        still_there="¿Sigue ahí?",
        resumed="Perdone, se ha cortado la llamada. ¿Por dónde íbamos?",
        recorded="Esta llamada se está grabando.",
        openers=(
            "Claro.",
            "¡Claro!",
            "Por supuesto.",
            "¡Por supuesto!",
            "Con mucho gusto.",
            "De acuerdo.",
        ),
        style=(
            "Estás hablando con una persona por teléfono. Responde en español con dos o tres frases cortas "
            "de lenguaje "
            "hablado, sin listas, marcas ni emojis, salvo que pida más. Di primero lo más importante."
        ),
    ),
    Language(
        tag="it",
        backchannels=_words(
            "ah bene certo esatto ecco eh giusto hm hmm già mhm mm oh ok okay sì si va vabbè"
        ),
        thanks=_words("grazie mille perfetto molto bene d'accordo per favore prego"),
        apology="Mi scusi, qualcosa è andato storto da parte mia. Può ripetere, per favore?",
        more="C'è dell'altro. Vuole che continui?",
        company="Un momento, per favore.",
        still_there="È ancora lì?",
        resumed="Mi scusi, è caduta la linea. Dove eravamo rimasti?",
        recorded="Questa chiamata viene registrata.",
        openers=(
            "Certo.",
            "Certo!",
            "Certamente.",
            "Volentieri.",
            "Va bene.",
            "Ottima domanda!",
        ),
        style=(
            "Stai parlando con una persona al telefono. Rispondi in italiano con due o tre frasi brevi, come "
            "si parla, "
            "senza elenchi, formattazione o emoji, a meno che non chieda di più. Di' prima la cosa più "
            "importante."
        ),
    ),
    Language(
        tag="pt",
        backchannels=_words(
            "ah aham bem bom certo claro é exato hã hm hmm isso mhm mm oh ok okay pois sim tá"
        ),
        thanks=_words("obrigado obrigada muito perfeito ótimo por favor"),
        apology="Desculpe, algo correu mal do meu lado. Pode repetir, por favor?",
        more="Há mais a dizer. Quer que eu continue?",
        company="Um momento, por favor.",
        still_there="Ainda está aí?",
        resumed="Desculpe, a ligação caiu. Onde estávamos?",
        recorded="Esta chamada está a ser gravada.",
        openers=(
            "Claro.",
            "Claro!",
            "Com certeza.",
            "Com certeza!",
            "Com prazer.",
            "Boa pergunta!",
        ),
        style=(
            "Está a falar com uma pessoa ao telefone. Responda em português com duas ou três frases curtas "
            "de linguagem "
            "falada, sem listas, marcações ou emojis, a não ser que peça mais. Diga primeiro o mais importante."
        ),
    ),
    Language(
        tag="nl",
        backchannels=_words(
            "ah aha eh goed hm hmm inderdaad ja jaja jawel juist klopt mhm mm oh oké ok okay precies"
        ),
        thanks=_words("dank bedankt je u wel prima fijn graag"),
        apology="Sorry, er ging iets mis aan mijn kant. Kunt u dat nog eens zeggen?",
        more="Er is nog meer. Zal ik doorgaan?",
        company="Een ogenblik, alstublieft.",
        still_there="Bent u er nog?",
        resumed="Sorry, de verbinding viel weg. Waar waren we gebleven?",
        recorded="Dit gesprek wordt opgenomen.",
        openers=(
            "Natuurlijk.",
            "Natuurlijk!",
            "Zeker.",
            "Zeker!",
            "Graag gedaan.",
            "Goede vraag!",
        ),
        style=(
            "Je praat met een beller. Antwoord in het Nederlands in twee of drie korte zinnen spreektaal, "
            "zonder "
            "lijsten, opmaak of emoji, tenzij de beller meer wil. Zeg het belangrijkste eerst."
        ),
    ),
    Language(
        tag="ja",
        backchannels=_words(
            "ああ あー うん うんうん ええ えっと おお そう そうです "
            "そうですか そうですね はい はいはい へえ なるほど ほう"
        ),
        thanks=_words("ありがとう ありがとうございます どうも わかりました お願いします 大丈夫です"),
        apology="申し訳ありません、こちらで問題が起きました。もう一度お願いできますか。",
        more="まだ続きがあります。続けましょうか。",
        company="少々お待ちください。",
        still_there="まだそちらにいらっしゃいますか。",
        resumed="申し訳ありません。通話が切れてしまいました。どこまでお話ししましたか。",
        recorded="この通話は録音されます。",
        openers=(
            "はい。",
            "もちろんです。",
            "承知しました。",
            "かしこまりました。",
            "ありがとうございます。",
        ),
        style=(
            "電話の相手と話しています。日本語の話し言葉で、短い文を二つか三つで答えてください。相手が求めない限り、"
            "箇条書き、記号、絵文字は使わないでください。一番大切なことから話してください。"
        ),
    ),
    Language(
        tag="hi",
        backchannels=_words(
            "अच्छा अरे ओह ओके जी ठीक बिल्कुल सही सच हम्म हाँ हां हूँ है haan achha theek ji ok okay hmm"
        ),
        thanks=_words("धन्यवाद शुक्रिया बहुत बढ़िया"),
        apology="माफ़ कीजिए, मेरी तरफ़ कुछ गड़बड़ हो गई। क्या आप फिर से कह सकते हैं?",
        more="अभी और भी है। क्या मैं आगे बताऊँ?",
        company="एक क्षण रुकिए।",
        still_there="क्या आप अभी भी वहाँ हैं?",
        resumed="माफ़ कीजिए, कॉल कट गई थी। हम कहाँ थे?",
        recorded="यह कॉल रिकॉर्ड की जा रही है।",
        openers=(
            "ज़रूर।",
            "ज़रूर!",
            "बिल्कुल।",
            "बिल्कुल!",
            "जी हाँ।",
            "अच्छा सवाल है!",
        ),
        style=(
            "आप फ़ोन पर किसी से बात कर रहे हैं। हिंदी में, बोलचाल की भाषा में, दो या तीन छोटे वाक्यों में "
            "उत्तर दीजिए; "
            "सूची, चिह्न या इमोजी नहीं, जब तक और न माँगा जाए। सबसे ज़रूरी बात पहले कहिए।"
        ),
    ),
    Language(
        tag="pl",
        backchannels=_words(
            "ach aha dobra dobrze dokładnie hm hmm jasne mhm mm no oh ok okay okej owszem racja tak właśnie"
        ),
        thanks=_words("dziękuję dzięki bardzo świetnie super proszę"),
        apology="Przepraszam, coś poszło nie tak po mojej stronie. Czy może pan lub pani powtórzyć?",
        more="Jest tego więcej. Czy mam mówić dalej?",
        company="Chwileczkę, proszę.",
        still_there="Czy jest pan lub pani jeszcze na linii?",
        resumed="Przepraszam, rozłączyło nas. Na czym skończyliśmy?",
        recorded="Ta rozmowa jest nagrywana.",
        openers=(
            "Oczywiście.",
            "Oczywiście!",
            "Jasne.",
            "Jasne!",
            "Z przyjemnością.",
            "Dobre pytanie!",
        ),
        style=(
            "Rozmawiasz z kimś przez telefon. Odpowiadaj po polsku dwoma lub trzema krótkimi zdaniami, "
            "językiem "
            "mówionym, bez list, formatowania i emoji, chyba że rozmówca prosi o więcej. Najważniejsze "
            "powiedz najpierw."
        ),
    ),
)

LANGUAGES = {row.tag: row for row in _ROWS}
"""By ISO 639-1 code."""


def language_of(tag: str | None) -> Language:
    """The row for a language tag such as ``de`` or ``pt-BR``; English for a language that has none."""
    return LANGUAGES.get((tag or "en").lower().replace("_", "-").partition("-")[0], ENGLISH)
