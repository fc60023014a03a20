"""Word lists for cleaning, with English stop words, spoken spellings, and words that end in -in."""

from __future__ import annotations

_SMALL = """
a an the i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her
hers herself
it its itself they them their theirs themselves this that these those who whom whose which what each both some any all
such own same
am is are was were be been being have has had having do does did doing done can could will would shall should may
might must ought
and but or nor if because as until while of at by for with about against between into through during before after
above below to from
up down in out on off over under again further then once here there when where why how than so too very not no only
just also
i'm i've i'll i'd you're you've you'll you'd he's he'll he'd she's she'll she'd it's it'll it'd we're we've we'll we'd
they're they've they'll they'd that's that'll who's what's where's when's why's how's there's here's let's
isn't aren't wasn't weren't hasn't haven't hadn't doesn't don't didn't won't wouldn't can't cannot couldn't shan't
shouldn't
mustn't mightn't ain't im ive ill youre dont cant wont didnt isnt aint thats
"""

STOP_WORDS = frozenset(_SMALL.split())
"""English stop words."""

_ENDS_IN_IN = """
again basin begin berlin cabin coffin cousin dolphin dublin latin margin martin muffin napkin origin penguin pumpkin
resin robin satin
urchin violin virgin vitamin within
"""

KEEP_IN = frozenset(_ENDS_IN_IN.split())
"""Words in front of an apostrophe that are quoted or in the genitive, not a shortened -ing."""

_SPOKEN = """
gonna=going to; gon=going to; wanna=want to; gotta=got to; hafta=have to; kinda=kind of; sorta=sort of; lotta=lot of
outta=out of
lemme=let me; gimme=give me; dunno=don't know; whatcha=what are you; gotcha=got you; betcha=bet you; letcha=let you
coulda=could have; woulda=would have; shoulda=should have; musta=must have; oughta=ought to
'cause=because; 'cuz=because; 'coz=because; 'cos=because; cuz=because; coz=because; becuz=because
'em=them; 'til=until; 'till=until; 'round=around; 'bout=about; 'fore=before; 'neath=beneath; o'er=over; e'er=ever
ne'er=never
y'all=you all; ya'll=you all; ya=you; ur=your; u=you; c'mon=come on; luv=love; luvin=loving
nite=night; tonite=tonight; lite=light; thru=through; tho=though; altho=although; dat=that; dis=this; dem=them
nuff=enough
nothin=nothing; nuthin=nothing; somethin=something; sumthin=something; everythin=everything; anythin=anything
goin=going; doin=doing; comin=coming; livin=living; lovin=loving; lookin=looking; gettin=getting; tryin=trying
waitin=waiting
cryin=crying; dyin=dying; callin=calling; fallin=falling; rollin=rolling; rockin=rocking; singin=singing; dancin=dancing
thinkin=thinking; dreamin=dreaming; playin=playing; sayin=saying; makin=making; takin=taking; movin=moving
leavin=leaving
breakin=breaking; feelin=feeling; talkin=talking; walkin=walking; runnin=running; ridin=riding; workin=working
drinkin=drinking
mornin=morning; evenin=evening
"""

_WRONG = """
teh=the; recieve=receive; beleive=believe; definately=definitely; wierd=weird; alot=a lot; untill=until
tommorow=tomorrow
tommorrow=tomorrow; seperate=separate; goverment=government; freind=friend; thier=their; realy=really
beautifull=beautiful
begining=beginning; remeber=remember; forver=forever; togther=together; allways=always; writting=writing
occured=occurred
"""

_PAIRS = (pair.split("=") for pair in f"{_SPOKEN};{_WRONG}".replace("\n", ";").split(";") if pair.strip())

SPELLINGS = {spelling.strip(): meant.strip() for spelling, meant in _PAIRS}
"""Lower-case spelling with straight apostrophes -> the standard spelling."""
