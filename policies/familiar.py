"""Tells prompts of the kind that the shipped pair scorer was trained on: English, and little code.

On other text its log-odds mean nothing: it has learnt no word of it, and equal names and numbers
make any two such prompts look alike. What is not known for English is not scored, so a wrong guess
here costs a hit and never brings a wrong answer.
"""

from __future__ import annotations

import re

from .guards.reading import words

OTHER_SCRIPT = 0.1  # share of the letters that are not Latin, from which on a text is unfamiliar
# Signs of code among the characters. Of the training prompts, shell commands and library functions
# among them, 99.8 % have at most 0.16.
CODE_SHARE = 0.16
CODE_SIGNS = 8  # fewer are no code, however short the text
_LAST_LATIN = "\u024f"
_CODE = re.compile(r"[{}\[\]<>=;|\\$`~^_@#*/&+]|\(\)")

# Words that hardly stand in a text of another language. Others of the same frequency do: "in",
# "an", "was", "me", "on", "for", "is", "will".
_ENGLISH = frozenset(
    "the to are does did how what when where why who which could my you your this that with from "
    "and not have has had please need want get got there would should any it its than then their "
    "they been about does doesn don didn can can't of i find make into out list show".split()
)
# Words of German, French, Spanish, Italian, Portuguese, Dutch, Danish, Norwegian, Swedish, Polish,
# Czech, Turkish, Indonesian, Romanian, Finnish and Hungarian that are none of English, nor common
# in its names ("la", "de", "van", "los").
_OTHERS = frozenset(
    # German
    "und ich nicht wie kann ist das ein eine einen einem einer mein meine meinen meinem meiner der "
    "dem für fuer mit auf von wo warum wann wer welche welcher welches sind bei oder wenn aus nach "
    "auch sie wir haben habe zum zur über ueber beim muss möchte wird werden gibt sich dass ihr "
    "wieviel viel kein keine noch ohne soll geht bekomme funktioniert "
    # French
    "les une et est que qui quel quelle quels quelles pourquoi où quand je mon mes avec dans sur "
    "pas ne vous nous cette puis peux peut votre sont faire fait qu suis combien quoi être sans "
    # Spanish, Portuguese, Italian
    "una cómo qué cuál dónde donde cuándo cuando por para mi mis su puedo puede está tengo quiero "
    "hacer cuánto cuanto il gli che dove quando perché perche posso mio della nel sono cosa "
    "quanto qual uma onde meu minha não nao você voce fazer como quais são è é mia miei alla "
    # Dutch and Scandinavian
    "het een ik mijn hoe waar waarom wanneer niet voor zijn deze bij wordt hebben moet och jag hur "
    "är inte på mitt jeg hvordan hva hvad og ikke til av vad ett det som hvor hvorfor kan "
    # Polish, Czech, Turkish, Indonesian, Romanian, Finnish, Hungarian
    "jak mogę moge się jest nie czy gdzie moje moja dlaczego kiedy mohu kde proč mám nasıl nedir "
    "bir ve için icin nerede benim bagaimana saya yang apa untuk dengan cum pot este și unde "
    "pentru miten voin mikä missä ja hogyan hol egy és "
    # what is asked about without a verb
    "bitte passwort vergessen rechnung bestellung konto stornieren kündigen kuendigen ändern "
    "aendern löschen loeschen anmelden lieferung zahlung zurück hauptstadt wetter rezept "
    "annuler commande facture compte mot oublié livraison remboursement météo recette capitale "
    "cancelar pedido cuenta contraseña factura cambiar envío reembolso senha conta fatura "
    "annullare ordine conto fattura rimborso wat wachtwoord bestelling rekening annuleren".split()
)


def is_familiar(text: str) -> bool:
    """Say whether ``text`` looks like the scorer's training prompts. Takes 5 us for 10 words."""
    return not (_is_code(text) or _is_other_script(text) or _is_other_language(text))


def _is_code(text: str) -> bool:
    signs = len(_CODE.findall(text))
    return signs >= CODE_SIGNS and signs > CODE_SHARE * len(text)


def _is_other_script(text: str) -> bool:
    if text.isascii():
        return False
    letters = [char for char in text if char.isalpha()]
    return sum(char > _LAST_LATIN for char in letters) > OTHER_SCRIPT * len(letters)


def _is_other_language(text: str) -> bool:
    """Say whether words of other languages outweigh those of English.

    Of a text with none of either, letters that English lacks decide: "Passwort zurücksetzen".
    """
    found = words(text.casefold())
    english = sum(word in _ENGLISH for word in found)
    others = sum(word in _OTHERS for word in found)
    if others > english:
        return True
    return not (english or others or text.isascii()) and any(
        char.isalpha() and not char.isascii() for char in text
    )
