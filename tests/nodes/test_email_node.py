"""``email`` sends what its config says, and lists every field that it cannot send."""

from __future__ import annotations

import pytest
from django.core import mail

from spane_django.core.outcome import Permanent
from spane_django.nodes.email import EmailNode

FINE = {"to": "ada@example.com", "subject": "Hello", "text": "Welcome"}


def test_a_message_is_sent_by_the_projects_mail_settings(context):
    config = {
        "to": ["Ada <ada@example.com>", "bob@example.com"],
        "cc": "c@example.com, d@example.com",
        "bcc": ["e@example.com"],
        "replyTo": "help@example.com",
        "from": "Shop <shop@example.com>",
        "subject": "Grüße",
        "text": "plain",
        "html": "<b>rich</b>",
    }

    answer = EmailNode().execute(context(config))

    [sent] = mail.outbox
    assert answer == {"messageId": sent.extra_headers["Message-ID"], "recipients": 5}
    assert (sent.subject, sent.body, sent.from_email) == (
        "Grüße",
        "plain",
        "Shop <shop@example.com>",
    )
    assert sent.to == ["Ada <ada@example.com>", "bob@example.com"]
    assert (sent.cc, sent.bcc) == (["c@example.com", "d@example.com"], ["e@example.com"])
    assert sent.reply_to == ["help@example.com"]
    assert [(part.content, part.mimetype) for part in sent.alternatives] == [
        ("<b>rich</b>", "text/html")
    ]


def test_a_message_may_be_html_alone(context):
    EmailNode().execute(context({"to": "a@example.com", "subject": "s", "html": "<p>x</p>"}))

    assert (mail.outbox[0].content_subtype, mail.outbox[0].body) == ("html", "<p>x</p>")


def test_every_attempt_carries_the_same_message_id(context):
    first = EmailNode().execute(context(FINE, attempt=1))
    again = EmailNode().execute(context(FINE, attempt=2))
    other = EmailNode().execute(context(FINE, node_id="other"))

    assert first == again
    assert first["messageId"] != other["messageId"]


def test_texts_come_from_the_projects_templates(context, tmp_path, settings):
    (tmp_path / "welcome.txt").write_text("Hi {{ name }}, order {{ input.id }}")
    (tmp_path / "welcome.html").write_text("<p>{{ name }}</p>")
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    config = {
        "to": "a@example.com",
        "subject": "s",
        "textTemplate": "welcome.txt",
        "htmlTemplate": "welcome.html",
        "context": {"name": "<Ada>"},
    }

    EmailNode().execute(context(config, {"id": 7}))

    assert mail.outbox[0].body == "Hi &lt;Ada&gt;, order 7"
    assert mail.outbox[0].alternatives[0].content == "<p>&lt;Ada&gt;</p>"


def test_every_bad_field_is_listed(context):
    config = {
        "to": ["ada@example.com", "nobody"],
        "cc": "x@example.com\nBcc: everyone@example.com",
        "from": "shop@example.com\r\nX-Evil: 1",
        "replyTo": 7,
        "subject": "Hello\nBcc: everyone@example.com",
        "text": {"a": 1},
        "htmlTemplate": "no/such.html",
        "context": [],
    }

    with pytest.raises(Permanent) as raised:
        EmailNode().execute(context(config))

    assert str(raised.value).split("; ") == [
        "'to': 'nobody' is no email address",
        "'cc' holds a line break, which would end the header",
        "'replyTo' must be a text or a list of texts",
        "'from' holds a line break, which would end the header",
        "'subject' holds a line break, which would end the header",
        "'text' must be a text",
        "'htmlTemplate': there is no usable template 'no/such.html' (TemplateDoesNotExist)",
        "'context' must be an object",
    ]
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"to": "a@example.com", "text": "t"}, "'subject' is a required property"),
        ({"subject": "s", "text": "t"}, "there are no recipients"),
        ({"subject": "s", "text": "t", "to": []}, "there are no recipients"),
        ({"subject": "s", "to": "a@example.com"}, "there is nothing to send"),
        ({**FINE, "to": "nobody"}, "no email address"),
        ({**FINE, "headers": {}}, "'headers' was unexpected"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(faults, config, part):
    assert part in "; ".join(faults(EmailNode, config))


def test_fields_from_templates_are_checked_when_they_are_known(context, faults):
    config = {
        "to": "{{ input.to }}",
        "cc": "{{ input.cc }}",
        "subject": "s",
        "text": "{{ input.t }}",
    }

    assert faults(EmailNode, config) == []
    EmailNode().execute(context({**config, "to": "a@example.com", "cc": None, "text": "t"}))
    with pytest.raises(Permanent, match="no recipients"):
        EmailNode().execute(context({**config, "to": None, "cc": "", "text": "t"}))
