"""The words of the sample region: a town that no map shows, its organisations, streets, people.

Invented, so that nobody's name or account stands in a file of ours; bank codes are real ones.
"""

from msgspec import Struct

TOWN = "г. Приобск"


class Bank(Struct, frozen=True):
    """A bank that keeps accounts of the region, by its BIC."""

    bic: str
    name: str


SBERBANK = Bank("044525225", "ПАО Сбербанк")
UDMURTIA = Bank("049401601", "Удмуртское отделение № 8618 ПАО Сбербанк")
NORTH_WEST = Bank("044030790", "ПАО «Банк «Санкт-Петербург»")


class Organisation(Struct, frozen=True):
    """An organisation before its requisites are made: id, name, kind, bank, kind of account.

    `balance_account` is the first five digits of its account by the chart of accounts of banks.
    `commission` is a fee rule as the gateway takes it, in ppm and kopecks.
    """

    id: str
    name: str
    kind: str
    bank: Bank
    balance_account: str = "40702"
    commission: dict[str, int] | None = None


HEAT = Organisation(
    "heat", "АО «Приобские тепловые сети»", "supplier", SBERBANK, commission={"ppm": 15_000}
)
WATER = Organisation(
    "water", "МУП «Приобскводоканал»", "supplier", UDMURTIA, commission={"ppm": 12_000}
)
POWER = Organisation(
    "power", "АО «Приобскэнергосбыт»", "supplier", SBERBANK, commission={"ppm": 8_000, "max": 5_000}
)
GAS = Organisation(
    "gas", "ООО «Приобскгазсервис»", "supplier", NORTH_WEST, commission={"ppm": 9_000, "min": 50}
)
LIFT = Organisation("lift", "ООО «Лифтмонтаж-Приобье»", "supplier", NORTH_WEST)
INTERCOM = Organisation(
    "intercom", "ООО «Домофон-Сервис»", "supplier", UDMURTIA, commission={"fixed": 100}
)
CENTRE_YARD = Organisation(
    "uk-dvor", "ООО «УК «Уютный двор»", "management_company", SBERBANK, commission={"ppm": 5_000}
)
RIVERSIDE = Organisation(
    "uk-zarechye", "ООО «УК «Заречье»", "management_company", UDMURTIA, commission={"ppm": 5_000}
)
PINES = Organisation("uk-bor", "ООО «УК «Сосновый бор»", "management_company", SBERBANK)
GROVE = Organisation("tsn-roshcha", "ТСН «Берёзовая роща»", "management_company", NORTH_WEST)
WASTE = Organisation(
    "waste",
    "ООО «ЭкоПриобье», региональный оператор по ТКО",
    "regional_operator",
    UDMURTIA,
    commission={"ppm": 10_000},
)
# The account of a regional operator of capital repair is not a commercial organisation's.
CAPITAL = Organisation(
    "repair-fund",
    "Фонд капитального ремонта Приобского края",
    "regional_operator",
    SBERBANK,
    balance_account="40603",
)
# 40821: the special account of a payment agent, law 103-ФЗ.
CENTRE = Organisation(
    "centre", "ООО «Приобский расчётный центр»", "centre", SBERBANK, balance_account="40821"
)

COMPANIES = (CENTRE_YARD, RIVERSIDE, PINES, GROVE)
ORGANISATIONS = (
    *(HEAT, WATER, POWER, GAS, LIFT, INTERCOM),
    *COMPANIES,
    *(WASTE, CAPITAL, CENTRE),
)

STREETS = (
    *("ул. Ленина", "ул. Сосновая", "пер. Речной", "ул. Мира", "пр-кт Строителей"),
    *("ул. Заводская", "ул. Садовая", "б-р Молодёжи", "ул. Обская", "ул. 40 лет Победы"),
)
# Surnames of women end otherwise; given names fit both columns in turn.
SURNAMES = (
    *("Абрамов", "Белов", "Воронцов", "Гусев", "Демидов", "Ершов", "Жуков", "Зайцев", "Ильин"),
    *("Казанцев", "Лобанов", "Макаров", "Носов", "Орлов", "Панов", "Русаков", "Субботин", "Титов"),
)
WOMEN = ("Анна Ивановна", "Вера Петровна", "Галина Олеговна", "Ольга Юрьевна", "Зоя Львовна")
MEN = ("Иван Сергеевич", "Пётр Ильич", "Олег Андреевич", "Юрий Павлович", "Лев Николаевич")
