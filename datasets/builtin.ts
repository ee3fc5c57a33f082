import type { FieldType } from '../intake/types.ts';
import type { Dataset, DatasetField } from './types.ts';

type Extras = Partial<
  Pick<DatasetField, 'required' | 'empty' | 'precision' | 'scale' | 'maxLength' | 'min' | 'max'>
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

const products: Dataset = {
  name: 'products',
  version: 1,
  title: { en: 'Products', ja: '商品' },
  target: { schema: 'catalog', table: 'products' },
  key: { fields: ['sku'], index: 'products_key' },
  duplicates: 'last',
  fields: [
    // Only the key is required of a file: one that brings new prices need not carry names.
    field(
      'sku',
      'text',
      'SKU',
      '商品コード',
      names(`
      SKU code, SKU number, SKU no, stock keeping unit, product code, product id, product number,
      product no, item code, item number, item no, item id, article number, article no, article code,
      part number, part no, code,
      商品コード, 商品番号, 商品ID, 品番, 品目コード, 製品コード, 製品番号, 型番, SKUコード, コード,
      kode, kode barang, kode produk, kode item, kode sku, nomor barang, no barang, id produk,
      Artikelnummer, Artikel-Nr., Artikelnr, Art.-Nr., Art Nr, Produktnummer, Produktcode,
      Materialnummer, Bestellnummer`),
      { required: true, maxLength: 200 },
    ),
    field(
      'name',
      'text',
      'Name',
      '商品名',
      names(`
      product name, item name, product title, title, article name, product, item,
      商品名, 品名, 商品名称, 製品名, 品目名, 名称, 名前,
      nama, nama barang, nama produk, nama item, barang, produk, Bezeichnung, Artikelbezeichnung,
      Artikelname, Produktname, Produktbezeichnung, Artikel, Produkt`),
    ),
    field(
      'description',
      'text',
      'Description',
      '説明',
      names(`
      product description, item description, desc, details, long description, text,
      説明, 商品説明, 詳細, 備考, 説明文, 商品詳細, 内容,
      deskripsi, keterangan, uraian, deskripsi produk, deskripsi barang, penjelasan, Beschreibung,
      Produktbeschreibung, Artikelbeschreibung, Langtext, Artikeltext`),
    ),
    field(
      'price',
      'decimal',
      'Price',
      '価格',
      names(`
      unit price, sales price, selling price, list price, retail price, price each, unit cost,
      price per unit,
      価格, 単価, 販売価格, 売価, 値段, 定価, 金額, 税抜価格, 本体価格,
      harga, harga satuan, harga jual, harga barang, harga per unit, Preis, Verkaufspreis, Einzelpreis,
      Stückpreis, VK, VK-Preis, Listenpreis, Netto-Preis, Nettopreis`),
      MONEY,
    ),
    field(
      'quantity',
      'decimal',
      'Quantity',
      '数量',
      names(`
      qty, qty on hand, quantity on hand, on hand, stock, stock quantity, stock level, in stock,
      inventory, available, available quantity, count, units, pieces, pcs,
      数量, 在庫, 在庫数, 在庫数量, 個数, 現在庫, 有効在庫,
      jumlah, stok, jumlah stok, jumlah barang, kuantitas, banyaknya, persediaan, sisa stok, Menge,
      Bestand, Lagerbestand, Anzahl, Stückzahl, Stück, Lagermenge, verfügbar`),
      MONEY,
    ),
    field(
      'active',
      'boolean',
      'Active',
      '有効',
      names(`
      is active, enabled, active flag, status, sellable, for sale, available for sale, published,
      有効, 有効フラグ, 販売中, アクティブ, 公開, 状態, ステータス, 取扱中,
      aktif, status aktif, dijual, tersedia, aktiv, ist aktiv, verkäuflich, freigegeben`),
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
      e-mail, mail, e-mail address, email address, mail address, contact email, customer email,
      client email, email id,
      メール, メールアドレス, Eメール, Eメールアドレス, 電子メール, 連絡先メール, E-mailアドレス,
      surel, alamat email, alamat surel, email pelanggan, email kontak, E-Mail-Adresse, Mailadresse,
      Emailadresse, E-Mail Kontakt`),
      { required: true, maxLength: 254 },
    ),
    field(
      'company',
      'text',
      'Company',
      '会社名',
      names(`
      company name, organisation, organization, firm, business, business name, account, account name,
      customer, customer name, client, client name, employer,
      会社, 会社名, 企業名, 法人名, 取引先, 取引先名, 顧客名, 得意先, 得意先名, 社名, 団体名, 組織名,
      perusahaan, nama perusahaan, instansi, nama pelanggan, pelanggan, nama klien, klien, PT, Firma,
      Firmenname, Unternehmen, Kunde, Kundenname, Betrieb, Organisation`),
    ),
    field(
      'contact_name',
      'text',
      'Contact name',
      '担当者名',
      names(`
      contact, contact person, full name, name, person, person in charge, PIC, attention,
      representative,
      担当者, 担当者名, 氏名, 名前, お名前, ご担当者, ご担当者名, 連絡先, 連絡先名,
      nama, nama kontak, kontak, nama lengkap, penanggung jawab, narahubung, Ansprechpartner, Kontakt,
      Kontaktperson, Name, Ansprechperson, Kontaktname`),
    ),
    field(
      'phone',
      'phone',
      'Phone',
      '電話番号',
      names(`
      phone number, phone no, telephone, telephone number, tel, tel no, mobile, mobile number,
      mobile phone, cell, cell phone, contact number, contact phone,
      電話, 電話番号, TEL,
      携帯, 携帯電話, 携帯番号, 連絡先電話番号, 携帯電話番号,
      telepon, nomor telepon, no telepon, no telp, telp, hp, no hp, nomor hp, handphone, no handphone,
      ponsel, Telefon, Telefonnummer, Tel.-Nr., Rufnummer, Mobil, Mobilnummer, Handy, Handynummer`),
    ),
    field(
      'status',
      'text',
      'Status',
      '状態',
      names(`
      state, client status, customer status, account status, customer state, lifecycle,
      状態, ステータス, 顧客状態, 取引状態, 区分,
      status pelanggan, status klien, keadaan, Kundenstatus, Zustand`),
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
      serial, serial no, serial nr, serial num, S/N, SN, serial id, serial code, serialnumber,
      device serial, IMEI,
      シリアル, シリアル番号, シリアルNo, シリアルナンバー, 製造番号, 機番, 製番, 個体番号,
      nomor seri, no seri, nomor serial, no serial, seri, Seriennummer, Serien-Nr., Seriennr, Ser.-Nr.,
      Gerätenummer, Fabriknummer`),
      { required: true, maxLength: 200 },
    ),
    field(
      'item_code',
      'text',
      'Item code',
      '商品コード',
      names(`
      item, item no, item number, item id, code, SKU, product code, product id, product number,
      article number, article no, part number, part no, material, material number, model, model number,
      商品コード, 商品番号, 品目コード, 品番, 製品コード, 型番, アイテムコード, 品目, コード,
      kode item, kode barang, kode produk, kode, kode material, Artikelnummer, Artikel-Nr., Artikelnr,
      Art.-Nr., Artikelcode, Materialnummer, Produktnummer`),
      { required: true },
    ),
    field(
      'qty',
      'decimal',
      'Quantity',
      '数量',
      names(`
      quantity, opening quantity, opening qty, opening stock, opening balance, stock, stock quantity,
      on hand, qty on hand, count, amount, units, pieces, pcs, balance,
      数量, 在庫, 在庫数, 在庫数量, 個数, 期首在庫, 期首数量, 初期在庫, 期首残高,
      jumlah, stok, stok awal, jumlah stok, jumlah awal, kuantitas, saldo awal, banyaknya, Menge,
      Anzahl, Bestand, Anfangsbestand, Lagerbestand, Stückzahl, Stück, Eröffnungsbestand`),
      { required: true, ...MONEY },
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
    field(
      'item_code',
      'text',
      'Item code',
      '商品コード',
      names(`
      item, item no, item number, item id, code, SKU, product code, product id, product number,
      article number, article no, part number, part no, material, material number,
      商品コード, 商品番号, 品目コード, 品番, 製品コード, 型番, アイテムコード, コード,
      kode item, kode barang, kode produk, kode, Artikelnummer, Artikel-Nr., Artikelnr, Art.-Nr.,
      Artikelcode, Materialnummer, Produktnummer`),
      { required: true, maxLength: 200 },
    ),
    field(
      'currency',
      'text',
      'Currency',
      '通貨',
      names(`
      currency code, curr, ccy, iso currency, price currency,
      通貨, 通貨コード, 貨幣, 通貨単位,
      mata uang, kode mata uang, valuta, Währung, Währungscode, Waehrung, Währungskürzel`),
      { required: true, maxLength: 3 },
    ),
    field(
      'valid_from',
      'date',
      'Valid from',
      '適用開始日',
      names(`
      valid since, from, from date, start date, starts, effective, effective date, effective from,
      valid from date, date from, begin date, price date,
      適用開始日, 適用日, 開始日, 有効開始日, 有効日, 価格適用日, 発効日,
      berlaku dari, berlaku mulai, mulai berlaku, tanggal berlaku, tanggal mulai, tgl berlaku,
      tgl mulai, gültig ab, gueltig ab, gültig von, ab Datum, Startdatum, Beginn, Gültigkeitsbeginn`),
      { required: true },
    ),
    field(
      'price',
      'decimal',
      'Price',
      '価格',
      names(`
      unit price, list price, sales price, selling price, amount, rate, new price, price per unit,
      net price,
      価格, 単価, 販売価格, 売価, 値段, 定価, 金額, 新価格,
      harga, harga satuan, harga jual, harga baru, nilai, Preis, Einzelpreis, Verkaufspreis,
      Listenpreis, Stückpreis, VK, VK-Preis, Betrag, Nettopreis`),
      { required: true, ...MONEY },
    ),
  ],
};

/** The datasets that every deployment has, as data. */
export const builtinDatasets: Dataset[] = [products, clients, openingStock, priceList];
