"""Which prompts look like English with little code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.familiar import is_familiar


@pytest.mark.parametrize(
    "text",
    [
        "How do I reset my password?",
        "reset password",
        "",
        "12:30",
        "Where is the café in Zürich?",
        "What does 'je ne sais quoi' mean in French, and where is that from?",
        "translate 'wie geht es' to English with the word order kept",
        "find . -name '*.py' -mtime -7 lists what?",
        "Make directory /etc/cron.5minute with mode 0755",
        "What is C++?",
        "price in € of a naïve résumé template",
        "hotels in Las Vegas",
    ],
)
def test_english(text: str) -> None:
    assert is_familiar(text)


@pytest.mark.parametrize(
    "text",
    [
        "Wie kann ich mein Passwort zurücksetzen?",
        "Passwort vergessen",
        "Müllabfuhr Köln",
        "Comment réinitialiser mon mot de passe ?",
        "J'ai oublié mon mot de passe",
        "¿Cómo restablezco mi contraseña?",
        "Quiero cancelar mi pedido",
        "Come posso reimpostare la password?",
        "Como redefino minha senha?",
        "Hoe stel ik mijn wachtwoord opnieuw in?",
        "Hvordan nulstiller jeg min adgangskode?",
        "Jak zresetować hasło?",
        "Bagaimana cara mengatur ulang kata sandi?",
        "如何重置密码?",
        "パスワードをリセットするには?",
        "비밀번호를 어떻게 재설정하나요?",
        "Как сбросить пароль?",
        "كيف أعيد تعيين كلمة المرور؟",
        "Πώς επαναφέρω τον κωδικό μου;",
        "How do I say 如何重置密码如何重置密码 in English?",
    ],
)
def test_other_languages(text: str) -> None:
    assert not is_familiar(text)


def test_mostly_code() -> None:
    assert not is_familiar("for (let i = 0; i < n; i++) { s += a[i] * b[i]; } // sum?")
    assert not is_familiar("SELECT * FROM t WHERE a = 1 && b <> 2 || (c = $1); -- {x} [y] =>")
    assert is_familiar("Why does `s += a[i]` overflow in this loop over a large array of numbers?")


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    assert is_familiar(text) in {True, False}
