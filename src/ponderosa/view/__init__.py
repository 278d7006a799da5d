"""What a person sees: progress, the table of rounds, drawn trees and the report of a run.

`progress`, `table` and `tree` write to a rich console; `report` writes one self-contained page, and `figures` draws its
pictures with matplotlib, which is imported only when a picture is drawn.
"""
