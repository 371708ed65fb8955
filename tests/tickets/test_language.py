import pytest

from supportbot_dagster.tickets.language import is_other_language

ENGLISH = [
    "cant figure out where to change my workspace url",
    "url??",
    "hello",
    "pls halp, bord dosnt lod since yestrday, wat do",
    "ENG-142 stuck syncing",
    "archive all??",
    "how 2 export csv",
    "Where is Settings > General > Workspace URL",
    "der button is gone, how can i archive",
    "ok thx, la même chose happened again with my second board, how do i fix it",
    "my boss is Marie de la Fontaine and she cannot sign in",
    "no me sale the export button, can you help me please",
    "kann nicht is the name of our label, can we rename it without losing it",
    "status > canceled > done > archived > todo > blocked",
    "{'query': 'issues(first: 50) { nodes { id title } }'}",
    "",
]
OTHER = [
    "Hallo, wie kann ich meine Workspace-URL ändern? Ich finde die Einstellung nicht.",
    "Bonjour, comment puis-je exporter toutes mes tâches en CSV ?",
    "Hola, no puedo ver los issues de mi equipo, ¿qué hago?",
    "Olá, como posso exportar as tarefas para CSV? Obrigado",
    "Ciao, non riesco a trovare il pulsante per archiviare, dove è?",
    "ワークスペースのURLを変更する方法を教えてください",
    "Как изменить адрес рабочего пространства?",
    "워크스페이스 URL을 어떻게 변경하나요?",
    "Hej, hur kan jag byta adress på vår arbetsyta? Tack på förhand",
    "wo ist der export button",
]


@pytest.mark.parametrize("text", ENGLISH)
def test_short_and_misspelt_english_stays_english(text: str) -> None:
    assert not is_other_language(text, "en")


@pytest.mark.parametrize("text", OTHER)
def test_another_language_is_noticed(text: str) -> None:
    assert is_other_language(text, "en")


def test_the_wanted_language_is_a_setting() -> None:
    assert not is_other_language(OTHER[0], "de")
    assert is_other_language("Hello, how can I change the URL of my workspace?", "de")
    assert not is_other_language(OTHER[5], "ja")
    assert is_other_language("Hello, how can I change the URL of my workspace?", "ja")


def test_the_answer_does_not_depend_on_what_came_before() -> None:
    text = "quod erat demonstrandum et cetera sine qua non in vino veritas semper fidelis"
    assert len({is_other_language(text, "en") for _ in range(20)}) == 1
