"""What exception codes mean, in words."""

from mediation.admin.meanings import MEANINGS, VALUE, meaning_of
from mediation.core.codes import Code


def test_every_code_has_a_meaning_and_what_helps():
    assert set(MEANINGS) == set(Code)
    assert all(means and helps.endswith(".") for means, helps in MEANINGS.values())


def test_a_code_of_a_profile_itself_breaks_one_of_its_validations():
    assert meaning_of("long_fax") == ("breaks a validation of its Data Profile", VALUE)
