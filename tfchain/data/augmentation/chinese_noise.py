"""Chinese typing errors: characters that sound alike, and characters that look alike."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import ClassVar

from tfchain.core.errors import InputError
from tfchain.data.augmentation.noise_step import NoiseStep

# Sets of characters that are taken for each other because they differ by a stroke or a part. Put together for this
# file; Liu et al. 2011, "Visually and Phonologically Similar Characters in Incorrect Chinese Words" (ACM TALIP 10(2)),
# describe how such errors arise.
LOOK_ALIKE = (
    "己已巳 未末 日曰 土士 人入八 大太犬 天夫夭 干千于 刀力刁 牛午 免兔 鸟乌岛 拨拔 候侯 戴载 辩辨辫瓣 竟竞 "
    "卯卵 戊戌戍 茶荼 治冶 洗冼 徒徙 幻幼 折拆析 账帐胀 圆园 晴睛 请清情 抱饱泡炮跑 杨扬 密蜜 暮幕墓慕募 "
    "遗遣 恨狠很 哀衷 待侍 往住 栗粟 微徽 斑班 杆秆 盲育 喝渴 坐座 即既 陪培倍 栽裁 撤撒 孤狐弧 爪瓜 亨享 "
    "王玉主 木本术 贝见 令今 仑仓 博搏 钓钩 跟踉根 买卖 处外 历厉 汗汁 问间闻 困因 右石 目自 田由甲申 白百 "
    "乒乓 手毛 儿几 万方 乐东 车年 活话 快块 坏环 怀杯 净争 消削 销稍 绿缘 经轻 场扬 练炼 检捡 险验 峰锋 "
    "蓝篮 梁粱 脑恼 蝇绳 准淮 凉谅 历厂 壁璧 堡保 傅博 传转 拒柜 "
)


@dataclass(frozen=True)
class MistypeChinese(NoiseStep):
    """Replaces Chinese characters by others of the same sound, as input methods for pinyin do.

    Each character of the 3,755 common ones (level 1 of GB 2312) is replaced, with the probability `rate`, by another
    common one that has the same pinyin, whatever its tone, as it is typed without. Needs pypinyin (the extra `data`).
    The other arguments are those of `NoiseStep`.

    Args:
        rate: The share of Chinese characters. Default: 0.05.
    """

    name: ClassVar[str] = "mistype_chinese"

    rate: float = 0.05

    def disturb(self, text: str, random: Random) -> str:
        table = load_homophones()
        return "".join(
            random.choice(table[character]) if character in table and random.random() < self.rate else character
            for character in text
        )


@dataclass(frozen=True)
class MisreadChinese(NoiseStep):
    """Replaces Chinese characters by others that look alike, as hurried readers and scanners do.

    Each character of a small table (`LOOK_ALIKE`) is replaced with the probability `rate`. The other arguments are
    those of `NoiseStep`.

    Args:
        rate: The share of the characters that are in the table. Default: 0.2.
    """

    name: ClassVar[str] = "misread_chinese"

    rate: float = 0.2

    def disturb(self, text: str, random: Random) -> str:
        return "".join(
            random.choice(SIMILAR[character]) if character in SIMILAR and random.random() < self.rate else character
            for character in text
        )


def find_similar() -> dict[str, str]:
    """Returns each character of the table with those that it is taken for."""
    found: dict[str, str] = {}
    for group in LOOK_ALIKE.split():
        for character in group:
            others = found.get(character, "") + group
            found[character] = "".join(dict.fromkeys(other for other in others if other != character))
    return found


SIMILAR = find_similar()


@lru_cache(maxsize=1)
def load_homophones() -> dict[str, str]:
    """Returns each common character with the others of its sound.

    Raises:
        InputError: if pypinyin is not installed.
    """
    try:
        from pypinyin import Style, pinyin
    except ImportError as error:
        raise InputError("mistype_chinese needs pypinyin. Install it: pip install 'tfchain[data]'.") from error
    common = [
        bytes((first, second)).decode("gb2312")
        for first in range(0xB0, 0xD8)
        for second in range(0xA1, 0xFF)
        if (first, second) < (0xD7, 0xFA)  # level 1 ends at D7F9
    ]
    sounds = [pinyin(character, style=Style.NORMAL)[0][0] for character in common]
    of_sound: dict[str, str] = {}
    for character, sound in zip(common, sounds, strict=True):
        of_sound[sound] = of_sound.get(sound, "") + character
    pairs = (
        (character, of_sound[sound].replace(character, "")) for character, sound in zip(common, sounds, strict=True)
    )
    return {character: others for character, others in pairs if others}
