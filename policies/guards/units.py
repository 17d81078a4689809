"""Units of measure and currencies: one name for all their spellings."""

from __future__ import annotations

# Each line starts with the canonical name. "pound" is money or mass: "5 lb" is not "5 pounds".
_SPELLINGS = """
ms msec millisecond milliseconds
s sec secs second seconds
min mins minute minutes
h hr hrs hour hours
day days
week weeks wk wks
month months
quarter quarters
year years yr yrs
decade decades
am
pm
mg milligram milligrams
g gram grams
kg kgs kilo kilos kilogram kilograms
lb lbs
oz ounce ounces
ton tons tonne tonnes
mm millimeter millimeters millimetre millimetres
cm centimeter centimeters centimetre centimetres
m meter meters metre metres
km kms kilometer kilometers kilometre kilometres
inch inches
ft foot feet
yard yards
mile miles
acre acres
ml milliliter milliliters millilitre millilitres
l liter liters litre litres
gallon gallons
cup cups
tbsp tablespoon tablespoons
tsp teaspoon teaspoons
bit bits
byte bytes
kb kilobyte kilobytes
mb megabyte megabytes
gb gigabyte gigabytes
tb terabyte terabytes
kib
mib
gib
mph
km/h kmh kph
mbps
gbps
hz hertz
khz
mhz
ghz
w watt watts
kw kilowatt kilowatts
kwh
kcal calorie calories
px pixel pixels
fps
rpm
°c c celsius
°f f fahrenheit
degree degrees °
% percent pct
usd $ dollar dollars buck bucks
eur € euro euros
pound £ gbp pounds
jpy ¥ yen
inr ₹ rupee rupees
cny yuan rmb
chf franc francs
cad
aud
krw ₩ won
btc bitcoin bitcoins
cent cents
"""

UNITS = {name: line.split()[0] for line in _SPELLINGS.strip().splitlines() for name in line.split()}
# Letters that are units only where they are written onto the number.
TIGHT = frozenset("c f w s".split())
CURRENCY = "[$€£¥₹₩]|(?:usd|eur|gbp|jpy|inr|cny|chf|cad|aud|krw|btc)(?= )"
