"""The languages of M2M-100 in the order of their tokens, whose ids follow those of vocab.json.

The lists are those of transformers' M2M100Tokenizer (`language_codes` in tokenizer_config.json names one).
"""

_NAMES = {
    "m2m100": (
        "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr "
        "ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa "
        "pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu"
    ),
    "wmt21": ("en ha is ja cs ru zh de"),
}
LANGUAGES = {name: tuple(codes.split()) for name, codes in _NAMES.items()}
