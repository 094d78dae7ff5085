"""Words of German, French and Spanish column names, written without accents, and how much each speaks for a field."""

SYNONYMS: dict[str, dict[str, int]] = {
    "Date": (
        {"datum": 5, "zeit": 4, "zeitpunkt": 6, "zeitstempel": 6, "uhrzeit": 4, "startzeit": 6, "beginn": 5}
        | {"anfang": 4, "ende": -4, "endzeit": -4, "rechnungsdatum": -3, "horodatage": 6, "heure": 4, "debut": 5}
        | {"jour": 3, "fecha": 5, "hora": 4, "inicio": 5, "fin": -4, "factura": -3, "facture": -3, "rechnung": -3}
    ),
    "Value": (
        {"menge": 6, "anzahl": 5, "dauer": 6, "verbrauch": 6, "sekunden": 5, "minuten": 5, "volumen": 5, "stuck": 5}
        | {"einheiten": 4, "gesprachsdauer": 6, "wert": 4, "quantite": 6, "duree": 6, "nombre": 4, "consommation": 6}
        | {"secondes": 5, "unites": 4, "valeur": 4, "cantidad": 6, "duracion": 6, "consumo": 6, "segundos": 5}
        | {"minutos": 5, "unidades": 4, "valor": 4, "preis": -9, "einzelpreis": -9, "kosten": -9, "betrag": -2}
        | {"prix": -9, "cout": -9, "montant": -2, "precio": -9, "coste": -9, "costo": -9, "importe": -2, "monto": -2}
        | {"nummer": -4, "nr": -4, "numero": -4, "satz": -8, "steuer": -8, "taux": -8, "tva": -8, "tasa": -8, "iva": -8}
    ),
    "Amount": (
        {"betrag": 6, "rechnungsbetrag": 6, "kosten": 6, "gebuhr": 5, "entgelt": 5, "umsatz": 4, "preis": 3}
        | {"montant": 6, "cout": 6, "frais": 4, "prix": 3, "importe": 6, "coste": 6, "costo": 6, "monto": 6}
        | {"precio": 3, "steuer": -4, "tva": -4, "iva": -4, "unitaire": -8, "unitario": -8, "einzelpreis": -8}
    ),
    "Currency": {"wahrung": 8, "waehrung": 8, "devise": 8, "monnaie": 8, "moneda": 8, "divisa": 8},
    "UdrUsageIdentifier": (
        {"kunde": 7, "kunden": 7, "kundennummer": 8, "kundennr": 8, "konto": 6, "kontonummer": 7, "teilnehmer": 8}
        | {"nutzer": 5, "benutzer": 5, "vertrag": 5, "mandant": 7, "zahler": 4, "compte": 6, "abonne": 8}
        | {"utilisateur": 5, "contrat": 5, "cliente": 7, "cuenta": 6, "abonado": 8, "usuario": 5, "contrato": 5}
        | {"nummer": 1, "nr": 1, "numero": 1}
    ),
    "OriginatingIdentifier": (
        {"anrufer": 7, "von": 6, "absender": 6, "appelant": 7, "origine": 6, "expediteur": 6, "llamante": 7}
        | {"origen": 6, "remitente": 6}
    ),
    "TerminatingIdentifier": (
        {"ziel": 6, "zielnummer": 7, "nach": 5, "empfanger": 6, "appele": 7, "destinataire": 6, "destino": 7}
        | {"destinatario": 6}
    ),
    "UniquenessIdentifier": {"kennung": 4, "vorgang": 4, "belegnummer": 7, "satznummer": 7, "identifiant": 5},
    "UsageClassName": (
        {"dienst": 5, "leistung": 5, "leistungsart": 6, "art": 5, "typ": 5, "produkt": 5, "kategorie": 5}
        | {"produit": 5, "categorie": 5, "servicio": 5, "tipo": 5, "producto": 5, "categoria": 5, "clase": 6}
    ),
    "Inbound": {"richtung": 7},
}
