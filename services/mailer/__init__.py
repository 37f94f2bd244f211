"""The mailer: one mail for each thing a buyer is told."""
