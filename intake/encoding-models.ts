/**
 * What texts in each encoding are made of: for every language the characters outside ASCII that it uses, the most
 * common first. Rough is enough: two encodings that give the same characters for a file are both right.
 */
export interface EncodingModel {
  encoding: string;
  /** Log of how much more or less often files come in it than in the commonest. */
  prior: number;
  /** Letters: one text a language. Ideographs: see `IDEOGRAPHS`. */
  languages: string[];
  /** Letters stand alone between ASCII letters in a Latin alphabet, and never in another one. */
  latin: boolean;
}

const RUSSIAN = 'оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё';
const UKRAINIAN = 'оаниветрсклудмпязьбгйчхцїюжєщшфґі';
const GREEK = 'αοιεηστνρπκυλμςάωίόδγέήθχφβύώξζψϊ';

export const ALPHABETS: EncodingModel[] = [
  {
    encoding: 'windows-1252',
    prior: 0,
    latin: true,
    languages: [
      'üäöß',
      'éèàêçôîâûùëïœæ',
      'óíáéñúü¿¡',
      'ãçáéíóõêúâàô',
      'àèéùòìî',
      'åäöéæø',
      'øåæéèòô',
      'æøåéä',
      'ëéïèöü',
      'áíðéóþöúýæ',
      'äõöüšž',
      'éüñöáíóèäçßàåøêúã',
    ],
  },
  {
    encoding: 'windows-1250',
    prior: -1.5,
    latin: true,
    languages: ['ęłóążśćńź', 'íáéěčžřšýůúťďňó', 'áéöóíüőúű', 'áíéčžšýúťľôňďäĺŕó', 'čšžćđ', 'ăîâşţșț'],
  },
  {
    encoding: 'iso-8859-2',
    prior: -3,
    latin: true,
    languages: ['ęłóążśćńź', 'íáéěčžřšýůúťďňó', 'áéöóíüőúű', 'čšžćđ', 'ăîâşţ'],
  },
  { encoding: 'windows-1254', prior: -1.5, latin: true, languages: ['ıüşğçöiâîû'] },
  {
    encoding: 'windows-1257',
    prior: -2.5,
    latin: true,
    languages: ['ėšžąįųūčę', 'āīēšūņļžģčķ', 'äõöüšž'],
  },
  {
    encoding: 'windows-1258',
    prior: -5,
    latin: true,
    languages: ['đươăâêôàáéèíìóòúùý\u0300\u0301\u0303\u0309\u0323'],
  },
  {
    encoding: 'macintosh',
    prior: -7,
    latin: true,
    languages: ['üäöß', 'éèàêçôîâûùëïœæ', 'óíáéñúü¿¡', 'ãçáéíóõêúâàô', 'åäöéæø'],
  },
  {
    encoding: 'windows-1251',
    prior: -1,
    latin: false,
    languages: [RUSSIAN, UKRAINIAN, 'аиоентрсвлкдпмъбзугяцчшжщюьхйф', 'аоеинртсјвкдупмлгзбшчцжћђњљхфџ'],
  },
  { encoding: 'koi8-r', prior: -3, latin: false, languages: [RUSSIAN] },
  { encoding: 'koi8-u', prior: -4, latin: false, languages: [UKRAINIAN] },
  { encoding: 'ibm866', prior: -3.5, latin: false, languages: [RUSSIAN] },
  { encoding: 'iso-8859-5', prior: -4, latin: false, languages: [RUSSIAN] },
  { encoding: 'windows-1253', prior: -2, latin: false, languages: [GREEK] },
  { encoding: 'iso-8859-7', prior: -3, latin: false, languages: [GREEK] },
  { encoding: 'windows-1255', prior: -2, latin: false, languages: ['יוהלארתבשמנםעדחקפכגטצסןזךףץ'] },
  {
    encoding: 'windows-1256',
    prior: -2,
    latin: false,
    languages: ['اليمونترةبعدسفهكقحجصشطخءأضزثذغىپچژگئؤظإآ'],
  },
  {
    encoding: 'windows-874',
    prior: -2,
    latin: false,
    languages: ['านรอกเงมยลวดทสต่้ะิีบคหปัแพใชุไขจโูผื์ถ็ธณึศซภญษฐฉํ'],
  },
];

/** Frequent characters of texts in ideographs; the rest of each set is told apart by where it stands in the code. */
export const IDEOGRAPHS: EncodingModel[] = [
  { encoding: 'shift_jis', prior: 0, latin: false, languages: ['ja', 'ja-half'] },
  { encoding: 'euc-jp', prior: -2, latin: false, languages: ['ja'] },
  { encoding: 'gbk', prior: -1.5, latin: false, languages: ['zh-Hans'] },
  { encoding: 'big5', prior: -2, latin: false, languages: ['zh-Hant'] },
  { encoding: 'euc-kr', prior: -2, latin: false, languages: ['ko'] },
];

export const FREQUENT: Record<string, string> = {
  ja:
    '日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定今回新場金員九入選立開手米力学問高代明実円' +
    '株式商品名番号価格単数量在庫住所電話県都府区町村丁目店舗備考顧客様郵便支店工機器材料用製造表示能漢字京阪担当有限男女無済未可否不良山田太郎佐藤鈴木村林加吉井川島崎橋渡辺伊石野原松花子美',
  'zh-Hans':
    '的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事' +
    '只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长编号名称价格数量单位商品产客户地址电话市省区路有限司红色黄蓝绿白黑制造王李张刘陈杨赵吴周徐孙朱胡林郭罗北京海广州深圳伟芳娜敏静强磊军螺丝母垫圈钢铁铜管箱包',
  'zh-Hant':
    '的一是不了在人有我他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小麼心多天而能好都然沒日於起還發成事' +
    '只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長編號名稱價格數量單位商品產客戶地址電話市省區路有限司紅色黃藍綠白黑製造臺灣王李張劉陳楊趙吳周徐孫朱胡林郭羅北京海廣州深圳偉芳高雄螺絲帽墊圈鋼鐵銅管箱包',
  ko: '이다는의에가을하고지로기사한어시리대를자서도정해인수아일전스그들부제보나상라과조장원만구은연비주있안동세성국계산공중관요트드품명번호가격량',
};

/** Signs that stand in texts of any language. */
export const SIGNS = '’‘“”„–—…€£¥°§©®™«»·•½¼²³±×µ¿¡ªº\u00A0†‰‚';
