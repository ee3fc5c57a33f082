import type { FieldType } from '../intake/types.ts';
import type { Dataset, DatasetField } from './types.ts';

type Extras = Partial<
  Pick<
    DatasetField,
    'required' | 'empty' | 'precision' | 'scale' | 'maxLength' | 'min' | 'max' | 'seconds' | 'hints'
  >
>;

const MONEY = { precision: 18, scale: 4 } as const;

/** Header names, one list a language; what they are compared by is normalised (`intake/names.ts`). */
function names(list: string): string[] {
  return list
    .split(/[,\n]/u)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function field(
  name: string,
  type: FieldType,
  en: string,
  ja: string,
  aliases: string[],
  extras: Extras = {},
): DatasetField {
  return { name, column: name, type, title: { en, ja }, required: false, empty: 'keep', aliases, ...extras };
}

// What two datasets and more have.
const ITEM_CODE_SECONDS = names(`
  code, item id, product id, SKU id, model number, model no, 商品ID, 型番, コード, kode, id produk, id barang,
  Artikel-ID, Produkt-ID`);
const ITEM_CODE_HINTS = names(`
  item, product, article, material, part, model, no, number, stock number, reference, item relation, 品目, 商品, 製品,
  管理番号, barang, produk, kode stok, kode unit, nomor, Artikel, Produkt, Nr., Nummer, Modell, Bestellnummer,
  Bestell-Nr., Sachnummer`);
const PRICE = names(`
  unit price, sales price, selling price, sell price, list price, retail price, price each, price per unit, sales unit price, item price, product price, item unit price,
  価格, 単価, 販売価格, 販売単価, 売価, 値段, 定価, 小売価格,
  harga, hrg, harga satuan, harga jual, harga barang, harga per unit, harga eceran, harga jual satuan, Preis, Verkaufspreis,
  Einzelpreis, Stückpreis, Preis pro Stück, Preis/Stück, VK, VK-Preis, Listenpreis`);
const PRICE_HINTS = names(`
  net price, gross price, regular price, normal price, standard price, base price, fixed price, new price, sale price,
  RRP, MSRP, price excl VAT, amount, rate, value, 金額, 税抜価格, 税込価格, 本体価格, 通常価格, 標準価格, 標準単価, 新価格, 新単価, 改定後価格,
  希望小売価格, harga normal, harga baru, nilai, Netto-Preis, Nettopreis, Preis netto, Bruttopreis, Preis brutto, Betrag,
  VK-Preis netto, VK-Preis brutto, regulärer Preis, neuer Preis, UVP`);
const ITEM_CODE = names(`
  stock keeping unit, item code, item number, item no, SKU, SKU code, SKU number, product code, product number, product no,
  article number, article no, article code, part number, part no, part code, stock code, material number, our SKU, variant SKU, seller SKU, product SKU, item SKU, merchant SKU, internal reference, default code,
  our item code, our product code, our part number, own article number,
  商品コード, 商品番号, 品番, 品目コード, 品目番号, 製品コード, 製品番号, アイテムコード, 部品番号, 商品CD, SKUコード,
  自社品番, 自社商品コード,
  kode barang, kode produk, kode item, kode SKU, kode material, nomor barang, no barang, no part,
  Artikelnummer, Artikel-Nr., Artikelnr, Art.-Nr., Art Nr, Artikelcode, Produktnummer, Produktcode, Materialnummer,
  Materialnr, eigene Artikelnummer`);

const products: Dataset = {
  name: 'products',
  version: 1,
  title: { en: 'Products', ja: '商品' },
  target: { schema: 'catalog', table: 'products' },
  key: { fields: ['sku'], index: 'products_key' },
  duplicates: 'last',
  fields: [
    // Only the key is required of a file: one that brings new prices need not carry names.
    field('sku', 'text', 'SKU', '商品コード', ITEM_CODE, {
      required: true,
      maxLength: 200,
      seconds: ITEM_CODE_SECONDS,
      hints: ITEM_CODE_HINTS,
    }),
    field(
      'name',
      'text',
      'Name',
      '商品名',
      names(`
      product name, item name, product title, item title, title, article name, material name, part name, product/service name,
      商品名, 品名, 商品名称, 製品名, 製品名称, 品目名, 品目名称, アイテム名, 名称, 名前, しょうひんめい,
      nama, nama barang, nama produk, nama item, Bezeichnung, Artikelbezeichnung, Artikelname, Produktname, Produkttitel,
      Produktbezeichnung, Materialbezeichnung, Bez.`),
      {
        seconds: names(`
      display name, nama part, nama stok`),
        hints: names(`
      product, item, article, 品目, 商品, 製品, barang, produk, Artikel, Produkt, Kurztext`),
      },
    ),
    field(
      'description',
      'text',
      'Description',
      '説明',
      names(`
      product description, item description, article description, desc, long description, long desc,
      説明, 商品説明, 説明文, 商品説明文, 商品詳細, 商品の説明,
      deskripsi, uraian, deskripsi produk, deskripsi barang, penjelasan, Beschreibung,
      Produktbeschreibung, Artikelbeschreibung, Langtext, Artikeltext`),
      {
        seconds: names(`
      details, 詳細, 備考, keterangan`),
        hints: names(`
      text, notes, 内容, catatan, Text, Bemerkung, short description, body`),
      },
    ),
    field('price', 'decimal', 'Price', '価格', PRICE, {
      ...MONEY,
      hints: PRICE_HINTS,
    }),
    field(
      'quantity',
      'decimal',
      'Quantity',
      '数量',
      names(`
      qty, qty on hand, quantity on hand, on hand, on hand quantity, stock, stock quantity, stock qty, stock level,
      qty in stock, quantity in stock, inventory quantity, stock on hand,
      数量, 在庫, 在庫数, 在庫数量, 個数, 現在庫, 現在庫数,
      jumlah, jml, stok, jumlah stok, kuantitas, banyaknya, persediaan, Menge,
      Bestand, Lagerbestand, Anzahl, Stückzahl, Bestandsmenge, Lagermenge`),
      {
        ...MONEY,
        seconds: names(`
      inventory, current quantity, jumlah barang, sisa stok, ストック, Vorrat, Lagerbest.`),
        hints: names(`
      in stock, available, available quantity, quantity available, qty available, count, units, pieces, pcs, 有効在庫,
      利用可能在庫, tersedia, stok akhir, stok gudang, Stück, Stk., verfügbar, frei verwendbar, Lager`),
      },
    ),
    field(
      'active',
      'boolean',
      'Active',
      '有効',
      names(`
      is active, active flag, 有効, 有効フラグ, アクティブ, aktif, status aktif, aktiv, ist aktiv`),
      {
        hints: names(`
      status, enabled, sellable, for sale, available for sale, published, 販売中, 公開, 公開済み, 状態, ステータス, 取扱中,
      利用可否, dijual, tersedia, verkäuflich, freigegeben, veröffentlicht`),
      },
    ),
  ],
};

const clients: Dataset = {
  name: 'clients',
  version: 1,
  title: { en: 'Clients', ja: '顧客' },
  target: { schema: 'catalog', table: 'clients' },
  key: { fields: ['email'], index: 'clients_key' },
  duplicates: 'last',
  fields: [
    field(
      'email',
      'email',
      'E-mail',
      'メールアドレス',
      names(`
      e-mail, email address, e-mail address, contact email, customer email, client email, email id,
      メール, メールアドレス, Eメール, Eメールアドレス, 電子メール, 電子メールアドレス, 連絡先メール, 連絡先メールアドレス, E-mailアドレス, メアド,
      surel, alamat email, alamat surel, email pelanggan, email klien, email kontak, E-Mail-Adresse, Mailadresse,
      Emailadresse, E-Mail Kontakt`),
      {
        required: true,
        maxLength: 254,
        seconds: names(`
      mail, work email`),
        hints: names(`
      mail address, email 1, e-mail 1, E-Mail geschäftlich, primary email`),
      },
    ),
    field(
      'company',
      'text',
      'Company',
      '会社名',
      names(`
      company name, organisation, organization, firm, business name, account name, organisation name,
      organization name, customer name, client name, employer,
      会社, 会社名, 企業名, 法人名, 取引先名, 顧客名, 得意先名, 社名, 団体名, 組織名, 会社名称, 屋号,
      perusahaan, nama perusahaan, instansi, nama instansi, nama pelanggan, nama klien, nama PT, Firma,
      Firmenname, Unternehmen, Unternehmensname, Kundenname, Betrieb, Organisation`),
      {
        seconds: names(`
      account, PT, associated company`),
        hints: names(`
      customer, client, business, name, name 1, 取引先, 顧客, 得意先, 正式名称, pelanggan, klien, toko, nama,
      Kunde, Auftraggeber, Mandant, Name 1, Firmenbezeichnung`),
      },
    ),
    field(
      'contact_name',
      'text',
      'Contact name',
      '担当者名',
      names(`
      contact, contact person, person in charge, PIC, full name, main contact, primary contact,
      担当者, 担当者名, 担当者氏名, 担当, 氏名, お名前, 名前, ご担当者, ご担当者名, 連絡先名, 連絡先担当者,
      nama kontak, kontak, kontak person, nama lengkap, nama PIC, penanggung jawab, narahubung, Ansprechpartner, Ansprechpartnerin,
      Kontakt, Kontaktperson, Ansprechperson, Kontaktname, Ansprechpartner Name`),
      {
        hints: names(`
      name, person, attention, attn, representative, 連絡先, 先方担当者名, nama, Name, Ansprechp.`),
      },
    ),
    field(
      'phone',
      'phone',
      'Phone',
      '電話番号',
      names(`
      phone number, phone no, telephone, telephone number, telephone no, tel, tel no, contact phone, customer phone,
      contact telephone,
      電話, 電話番号, TEL, お電話番号, 連絡先電話, 連絡先電話番号,
      telepon, nomor telepon, no telepon, no telp, telp, Telefon, Telefonnummer, Tel.-Nr., Rufnummer`),
      {
        seconds: names(`
      mobile, mobile number, mobile phone, mobile no, cell, cell phone, contact number, contact mobile, contact mobile number, business phone, work phone, office phone,
      携帯, 携帯電話, 携帯番号, 携帯電話番号, hp, no hp, nomor hp, handphone, no handphone, ponsel,
      Mobil, Mobilnummer, Mobiltelefon, Handy, Handynummer, Telefon geschäftlich, Telefon Firma`),
        hints: names(`
      phone 1, telephone 1, tel 1, landline, 固定電話, TEL会社, WA, telp kantor, telp bisnis, Festnetz`),
      },
    ),
    field(
      'status',
      'text',
      'Status',
      '状態',
      names(`
      client status, customer status, customer state, client state,
      状態, ステータス, 顧客状態, 顧客ステータス, 取引状態, status pelanggan, status klien, Kundenstatus`),
      {
        seconds: names(`
      account status`),
        hints: names(`
      lead status, card status, lifecycle, 区分, keadaan, Zustand`),
      },
    ),
  ],
};

const openingStock: Dataset = {
  name: 'opening_stock',
  version: 1,
  title: { en: 'Opening stock', ja: '期首在庫' },
  target: { schema: 'catalog', table: 'opening_stock' },
  key: { fields: ['serial_number'], index: 'opening_stock_key' },
  duplicates: 'last',
  fields: [
    field(
      'serial_number',
      'text',
      'Serial number',
      'シリアル番号',
      names(`
      serial, serial no, serial nr, serial num, S/N, SN, serial id, serial code, serialnumber, device serial,
      device serial number,
      シリアル, シリアル番号, シリアルNo, シリアルナンバー, 製造番号, 機番, 製番, 個体番号, 機械番号,
      nomor seri, no seri, nomor serial, no serial, seri, nomor seri unit, no seri unit, Seriennummer, Serien-Nr., Seriennr, Ser.-Nr.,
      Serialnummer, Fabriknummer`),
      {
        required: true,
        maxLength: 200,
        seconds: names(`
      IMEI, Gerätenummer, Geräte-Nr.`),
        hints: names(`
      lot/serial number, serial/lot number, serial numbers, Seriennummern, nomor seri/produksi`),
      },
    ),
    field('item_code', 'text', 'Item code', '商品コード', ITEM_CODE, {
      required: true,
      seconds: ITEM_CODE_SECONDS,
      hints: ITEM_CODE_HINTS,
    }),
    field(
      'qty',
      'decimal',
      'Quantity',
      '数量',
      names(`
      quantity, opening quantity, opening qty, qty opening, opening stock, initial quantity, initial stock, stock,
      stock quantity, on hand, qty on hand, quantity on hand, on hand quantity, stock on hand, qty in stock,
      数量, 在庫, 在庫数, 在庫数量, 個数, 現在庫, 期首在庫, 期首数量, 期首在庫数, 初期在庫,
      jumlah, jml, stok, stok awal, jumlah stok, jumlah awal, qty awal, kuantitas, banyaknya, Menge,
      Anzahl, Bestand, Anfangsbestand, Anfangsmenge, Lagerbestand, Stückzahl, Bestandsmenge, Eröffnungsbestand`),
      {
        required: true,
        ...MONEY,
        seconds: names(`
      opening balance, saldo awal, 期首残高`),
        hints: names(`
      count, amount, units, pieces, pcs, balance, available, counted, inventory quantity, 前期末在庫, 前月末在庫, 利用可能在庫, stok opname, jumlah unit, Stück,
      Ist-Bestand, SOH`),
      },
    ),
  ],
};

const priceList: Dataset = {
  name: 'price_list',
  version: 1,
  title: { en: 'Price list', ja: '価格表' },
  target: { schema: 'catalog', table: 'price_list' },
  key: { fields: ['item_code', 'currency', 'valid_from'], index: 'price_list_key' },
  duplicates: 'last',
  fields: [
    field('item_code', 'text', 'Item code', '商品コード', ITEM_CODE, {
      required: true,
      maxLength: 200,
      seconds: ITEM_CODE_SECONDS,
      hints: ITEM_CODE_HINTS,
    }),
    field(
      'currency',
      'text',
      'Currency',
      '通貨',
      names(`
      currency code, curr, ccy, iso currency, currency iso code, price currency,
      通貨, 通貨コード, 通貨単位,
      mata uang, kode mata uang, valuta, Währung, Währungscode, Waehrung, Währungskürzel`),
      {
        required: true,
        maxLength: 3,
        hints: names(`
      貨幣, つうか, valas, Whg., crcy`),
      },
    ),
    field(
      'valid_from',
      'date',
      'Valid from',
      '適用開始日',
      names(`
      valid since, valid from date, from date, date from, start date, starting date, effective, effective date, effective from,
      begin date, valid start date,
      適用開始日, 適用日, 開始日, 有効開始日, 適用開始年月日, 価格適用日, 発効日, 適用開始,
      berlaku dari, berlaku mulai, berlaku sejak, mulai berlaku, tanggal berlaku, tanggal mulai, tanggal mulai berlaku, tanggal efektif,
      dari tanggal, tgl berlaku, tgl mulai, gültig ab, gueltig ab, gültig von, gültig seit, gültig ab Datum, ab Datum, Startdatum,
      Gültigkeitsbeginn`),
      {
        required: true,
        seconds: names(`
      from, starts, Beginn`),
        hints: names(`
      date, price date, start, 日付, 有効日, 改定日, 期間開始, tanggal, Datum, Preisdatum, start date active`),
      },
    ),
    field('price', 'decimal', 'Price', '価格', PRICE, {
      required: true,
      ...MONEY,
      hints: PRICE_HINTS,
    }),
  ],
};

/** The datasets that every deployment has, as data. */
export const builtinDatasets: Dataset[] = [products, clients, openingStock, priceList];
